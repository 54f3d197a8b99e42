"""``mlops trace`` and ``mlops impact``: where a prediction comes from, and which predictions came of something."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from zenml_mlops.cli.options import AsJson, Environment, day_option
from zenml_mlops.cli.sentences import console, entered, print_table

if TYPE_CHECKING:
    from zenml_airflow.settings.project import Settings
    from zenml_mlops.lineage import Node, Report
    from zenml_mlops.lineage.impact import Impact

All = Annotated[bool, typer.Option("--all", help="Also what was published once and replaced since.")]
Version = Annotated[
    str | None, typer.Option("--model-version", metavar="[MODEL/]N", help="A model version, such as 3.")
]
Run = Annotated[str | None, typer.Option("--run", help="A ZenML run, by its id or full name.")]

BROKEN_EXIT = 3
_COLORS = {"missing": "red", "changed": "yellow", "imported": "magenta", "none": "dim"}


def trace(
    case_id: Annotated[int | None, typer.Argument(metavar="[ID]", help="Id of a row that was scored.")] = None,
    date: Annotated[datetime | None, day_option(help="Only its predictions of this day.")] = None,
    prediction: Annotated[
        str | None, typer.Option(metavar="RUN/ID", help="One prediction: ZenML run id or day, and the row's id.")
    ] = None,
    model_version: Version = None,
    run: Run = None,
    include_replaced: All = False,
    as_json: AsJson = False,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page with the picture to this file.", dir_okay=False)
    ] = None,
    dot: Annotated[bool, typer.Option("--dot", help="Print the graph for Graphviz.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Compare the training data with its recorded digest.")
    ] = True,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 3 if a link is missing or was changed.")
    ] = False,
    environment: Environment = "local",
) -> None:
    """Show where a prediction comes from: row, run, model, decisions, training, data, code.

    A link that is not recorded, or whose record is gone, is shown as missing. Exits with 1 if nothing is found.

    For example: `mlops trace 101`, `mlops trace --model-version 1`, `mlops trace 101 --html lineage.html`
    """
    asked = {"ID": case_id, "--prediction": prediction, "--model-version": model_version, "--run": run}
    which = _one_of(asked)
    for name, given in (("--date", date is not None), ("--all", include_replaced)):
        if given and which != "ID":
            raise typer.BadParameter(f"{name} has an effect with an ID only.")
    if as_json and dot:
        raise typer.BadParameter("--json and --dot both print: choose one.")
    with entered(environment) as settings:
        from zenml_mlops.lineage import tracing

        if case_id is not None:
            day = date.date() if date else None
            report = tracing.trace_case(settings, case_id, day, replaced=include_replaced, verify=verify)
        elif prediction is not None:
            report = tracing.trace_prediction(settings, prediction, verify=verify)
        elif model_version is not None:
            report = tracing.trace_version(settings, model_version, verify=verify)
        else:
            report = tracing.trace_run(settings, str(run), verify=verify)
        _show(report, as_json=as_json, dot=dot, html=html)
    if strict and report.broken:
        raise typer.Exit(BROKEN_EXIT)


def impact(
    file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A landing file as date=DAY/NAME.parquet, training data, or a sha256."),
    ] = None,
    model_version: Version = None,
    run: Run = None,
    list_ids: Annotated[bool, typer.Option("--list", help="Also list the ids.")] = False,
    include_replaced: All = False,
    as_json: AsJson = False,
    environment: Environment = "local",
) -> None:
    """Show every prediction that came of a data file, a model version or a run.

    For example: `mlops impact --model-version 1`, `mlops impact --file date=2026-01-05/part-000.parquet --list`
    """
    which = _one_of({"--file": file, "--model-version": model_version, "--run": run})
    with entered(environment) as settings:
        found = _impact(settings, which, str(file or model_version or run), include_replaced, list_ids)
        if as_json:
            sys.stdout.write(found.model_dump_json(indent=2, exclude_none=True) + "\n")
        else:
            _show_impact(found)


def _one_of(given: dict[str, Any]) -> str:
    named = [name for name, value in given.items() if value is not None]
    if len(named) != 1:
        said = f"found {' and '.join(named)}" if named else "found none"
        raise typer.BadParameter(f"Name one of {', '.join(given)}; {said}.")
    return named[0]


def _impact(settings: Settings, which: str, named: str, replaced: bool, ids: bool) -> Impact:
    from zenml_mlops.lineage import impact as answers

    ask = {
        "--file": answers.impact_of_file,
        "--model-version": answers.impact_of_version,
        "--run": answers.impact_of_run,
    }[which]
    return ask(settings, named, replaced=replaced, ids=ids)


def _show(report: Report, *, as_json: bool, dot: bool, html: Path | None) -> None:
    from zenml_mlops.lineage.pictures import to_dot, to_html

    if html is not None:
        html.parent.mkdir(parents=True, exist_ok=True)
        title = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in report.asked.items())
        html.write_text(to_html(report, f"Lineage: {title}"), encoding="utf-8")
    if as_json:
        sys.stdout.write(report.model_dump_json(indent=2) + "\n")
    elif dot:
        sys.stdout.write(to_dot(report))
    elif html is not None:
        console.print(f"wrote the lineage to {html}", highlight=False, markup=False)
    else:
        for tree in report.trees:
            console.print(_tree(tree, None), highlight=False)
        if report.broken:
            console.print(f"{len(report.broken)} links are missing or were changed", highlight=False)


def _tree(node: Node, parent: Tree | None) -> Tree:
    color = _COLORS.get(node.state.value)
    kind = node.kind.value.replace("_", " ")
    text = f"[dim]{kind}[/dim] {escape(node.title)}"
    if color:
        text += f" [{color}]{node.state.value}[/{color}]"
    if node.note:
        text += f" [dim]{escape(node.note)}[/dim]"
    shown = [(name, value) for name, value in node.facts.items() if not isinstance(value, list | dict)]
    if details := ", ".join(f"{name} {value}" for name, value in shown[:5]):
        text += f"\n[dim]{escape(details)}[/dim]"
    branch = Tree(text, guide_style="dim") if parent is None else parent.add(text)
    for child in node.children:
        _tree(child, branch)
    return branch


def _show_impact(found: Impact) -> None:
    table = Table("day", "partition", "model version", "ZenML run", "affected", "of", title=escape(found.cause))
    for day in found.days:
        table.add_row(
            day.date.isoformat(),
            "current" if day.current else "replaced",
            f"{day.model} {day.model_version}",
            day.zenml_run[:8],
            str(day.affected) if day.exact else f"up to {day.affected}",
            str(day.predictions),
        )
    print_table(table)
    for day in found.days:
        if day.row_ids is not None:
            console.print(f"{day.date}: {' '.join(map(str, day.row_ids))}", highlight=False)
    more = "" if not found.replaced else f"; {found.replaced} more in partitions that were replaced since (--all)"
    console.print(f"{found.affected} predictions are affected{more}", highlight=False)
    if found.shadow:
        rows = sum(one.affected for one in found.shadow)
        challengers = sorted({f"{one.model} {one.model_version}" for one in found.shadow})
        console.print(
            f"{rows} scores of challengers ({', '.join(challengers)}) are affected too; they were never published",
            highlight=False,
            markup=False,
        )
