"""``mlops new`` and ``mlops upgrade``: a project of another use case, and a newer platform for one."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table as Grid

from zenml_mlops.cli.json_output import print_json
from zenml_mlops.cli.options import AsJson
from zenml_mlops.cli.sentences import console, errors, sentences

if TYPE_CHECKING:
    from zenml_mlops.scaffold.inspection import Table


_WORD = re.compile(r"[a-z][a-z0-9-]{0,39}")


def new(
    folder: Annotated[
        Path,
        typer.Argument(help="Folder of the new project, absent or empty; or a project, for a further use case."),
    ],
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
    platform: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION|WHEELS|GIT@TAG",
            help="Where the project installs the platform from: a released version, a folder of wheels, a Git "
            "repository at a tag. By default the version that runs, or the checkout in which it runs.",
        ),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(metavar="GIT", help="Repository of the platform; the installed template by default."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a project of another use case from a table; it trains and runs on Airflow as it stands.

    The project depends on the platform and holds none of it: `zenml_pipelines/` has a contract from the table,
    features and pipelines, `configs/` limits by what was measured on the table, each with its reason.
    `mlops upgrade` takes it to a newer platform.

    For example: `mlops new ../churn --name churn --data customers.csv --target churned --event yes --id customer`
    """
    with sentences():
        from zenml_mlops.scaffold.inspection import inspect
        from zenml_mlops.scaffold.project import (
            ANSWERS,
            NewProject,
            Platform,
            ProjectError,
            add,
            check_name,
            check_target,
            create,
        )

        check_name(name)
        for option, value in (("--owner", owner), ("--classification", classification)):
            if not _WORD.fullmatch(value):
                raise ProjectError(f"{option} is {value!r}; it takes lower-case letters, digits and dashes.")
        made_in = folder.expanduser()
        checkout = _checkout()
        further = (made_in / ANSWERS).is_file()
        if not further:
            check_target(made_in)
        elif platform or template:
            raise ProjectError(
                "A further use case has the platform of its project: --platform has no effect on it."
            )
        installed_from = Platform.named(platform, checkout, made_in)
        with errors.status("Looking at the table"):
            table = inspect(
                data.expanduser(), target, event=event, row_id=row_id, group=group, drop=tuple(drop or ())
            )
        chosen = tuple(subgroup or ())
        if unknown := sorted(set(chosen) - {column.name for column in table.columns}):
            raise ProjectError(f"--subgroup names {unknown}; the table has {[one.name for one in table.columns]}.")
        if not as_json:
            _show(table)
        project = NewProject(
            name=name,
            title=title or name.replace("_", " ").capitalize(),
            outcome=f"{target} is {table.event}",
            owner=owner,
            classification=classification,
            subgroups=chosen,
            label_delay=label_delay,
            table=table,
            platform=installed_from,
        )
        with errors.status("Making the project"):
            if further:
                made = add(made_in, data.expanduser(), project)
            else:
                lock = checkout / "uv.lock" if checkout else None
                made = create(made_in, data.expanduser(), project, template=template, lock=lock)
    if as_json:
        print_json({"folder": str(folder), "table": asdict(table), "made": made})
        return
    if further:
        console.print(f"\n{len(made)} new files. Review them, commit them, and deploy:\n")
        console.print(f"  mlops --use-case {name} demo --source data/{name}.csv", markup=False, highlight=False)
        return
    console.print(f"\n{len(made)} files. Next:\n")
    console.print(f"  cd {folder}", markup=False, highlight=False)
    console.print(f"  make demo SOURCE=data/{name}.csv", markup=False, highlight=False)
    console.print("\nREADME.md says what is yours and where to start.")


def upgrade(
    platform: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION|WHEELS|GIT@TAG",
            help="The platform to change to; by default only the template is updated.",
        ),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(metavar="GIT", help="Repository of the platform; the one that is recorded by default."),
    ] = None,
    folder: Annotated[Path, typer.Option("--project", help="The project.")] = Path(),
) -> None:
    """Take this project to a newer platform: its version, and what the template changed since, as a merge.

    Your changes stay. Where both sides changed the same lines, the file gets conflict markers, as of `git merge`.

    For example: `mlops upgrade --platform 0.2.0`, then look at `git diff`, `make test`, and commit
    """
    with sentences():
        from zenml_mlops.scaffold.project import Platform
        from zenml_mlops.scaffold.project import upgrade as upgrade_project

        target = None if platform is None else Platform.named(platform, None, folder)
        with errors.status("Merging"):
            conflicts = upgrade_project(folder, template=template, platform=target)
    if conflicts:
        console.print("Both sides changed the same lines; solve the conflicts in:", style="bold yellow")
        for name in conflicts:
            console.print(f"  {name}", markup=False, highlight=False)
        raise typer.Exit(1)
    console.print("Merged. Review `git diff`, run `make test`, and commit.", highlight=False)


def _checkout() -> Path | None:
    """The checkout of the platform that the working directory lies in."""
    here = Path.cwd()
    return next((above for above in (here, *here.parents) if (above / "packages" / "zenml_mlops").is_dir()), None)


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
