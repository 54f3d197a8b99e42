"""``mlops new``: a project of another use case."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table as Grid

from zenml_mlops.cli.sentences import errors, sentences

if TYPE_CHECKING:
    from zenml_mlops.scaffold.inspection import Table

console = Console(soft_wrap=True)

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_WORD = re.compile(r"[a-z][a-z0-9-]{0,39}")


def new(
    folder: Annotated[Path, typer.Argument(help="Folder of the new project: absent or empty.")],
    name: Annotated[
        str, typer.Option(help="What DAGs, assets and the model are named after: `churn`, `loan_default`.")
    ],
    data: Annotated[
        Path, typer.Option(help="A table: CSV with a header, comma-separated, UTF-8, rows in the order of time.")
    ],
    target: Annotated[str, typer.Option(help="Column to predict.")],
    event: Annotated[
        str | None, typer.Option(help="Its value that is predicted; the rarer one of two by default.")
    ] = None,
    row_id: Annotated[
        str | None,
        typer.Option("--id", help="Column of unique integers that grow with time; else rows are numbered."),
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Column of what several rows can have in common, such as a customer.")
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="Column that is unknown when a row is scored; may be repeated.")
    ] = None,
    subgroup: Annotated[
        list[str] | None, typer.Option(help="Column whose values are compared for fairness; may be repeated.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Title of the model card.")] = None,
    owner: Annotated[str, typer.Option(help="Team that owns the model.")] = "data-science",
    classification: Annotated[str, typer.Option(help="Of the data; a word for the policies.")] = "internal",
    label_delay: Annotated[int, typer.Option(min=0, help="Days after which the outcome of a row is known.")] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make a project of another use case from a table; it trains and runs on Airflow as it stands.

    The platform is copied as it is. `zenml_pipelines/` gets a contract, features, a reader and made-up rows from
    the table, `configs/` limits by what was measured on it, each with its reason. Run it in a Git checkout of
    this project; nothing in the checkout changes.

    For example: `mlops new ../churn --name churn --data customers.csv --target churned --event yes --id customer`
    """
    with sentences():
        from zenml_airflow.settings.project import project_root
        from zenml_mlops.scaffold.inspection import inspect
        from zenml_mlops.scaffold.project import ProjectError, UseCase, check_target, create

        if not _NAME.fullmatch(name):
            raise ProjectError(
                f"--name is {name!r}; it takes lower-case letters, digits, underscores: `loan_default`."
            )
        for option, value in (("--owner", owner), ("--classification", classification)):
            if not _WORD.fullmatch(value):
                raise ProjectError(f"{option} is {value!r}; it takes lower-case letters, digits and dashes.")
        check_target(project_root(), folder.expanduser())
        with errors.status("Looking at the table"):
            table = inspect(
                data.expanduser(), target, event=event, row_id=row_id, group=group, drop=tuple(drop or ())
            )
        chosen = tuple(subgroup or ())
        unknown = sorted(set(chosen) - {column.name for column in table.columns})
        if unknown:
            raise ProjectError(f"--subgroup names {unknown}; the table has {[one.name for one in table.columns]}.")
        if not as_json:
            _show(table)
        case = UseCase(
            name=name,
            title=title or name.replace("_", " ").capitalize(),
            outcome=f"{target} is {table.event}",
            owner=owner,
            classification=classification,
            subgroups=chosen,
            label_delay=label_delay,
            table=table,
        )
        with errors.status("Making the project"):
            made = create(project_root(), folder.expanduser(), data.expanduser(), case)
    if as_json:
        from zenml_mlops.cli.json_output import print_json

        print_json({"folder": str(folder), "table": asdict(table), "made": made})
        return
    console.print(f"\n{len(made)} files are new or changed, the platform's are copies. Next:\n")
    console.print(f"  cd {folder}", markup=False, highlight=False)
    console.print(f"  make demo SOURCE=data/{name}.csv", markup=False, highlight=False)
    console.print("\nREADME.md says what is yours and what to look at first.")


def _show(table: Table) -> None:
    grid = Grid("column", "type", "range or values", box=None, header_style="bold")
    for column in table.columns:
        span = (
            f"{column.minimum} to {column.maximum}" if column.maximum is not None else ", ".join(column.values[:4])
        )
        kind = column.type if column.feature else f"{column.type}, no feature"
        grid.add_row(column.name, kind, span)
    console.print(grid)
    name, alone = table.best_column
    console.print(
        f"{table.rows:,} rows, {table.event_share:.1%} with {table.target} = {table.event}. A quick model ranks "
        f"them with AUC {table.auc:.3f}; the best column alone, {name}, with {alone:.3f}.",
        markup=False,
        highlight=False,
    )
