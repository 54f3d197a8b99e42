"""``mlops status``: the platform on one screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from zenml_mlops.cli.json_output import print_json
from zenml_mlops.cli.options import AsJson, Environment
from zenml_mlops.cli.sentences import entered, print_table

if TYPE_CHECKING:
    from zenml_mlops.status.status import Section

console = Console()
_GOOD = frozenset({"healthy", "running", "success", "scored"})
_BAD = frozenset({"stopped", "failed", "none"})


def status(as_json: AsJson = False, environment: Environment = "local") -> None:
    """Show services, environments, DAGs, required actions, models, and the last partition.

    What cannot be read says why. Exits with 3 if a local service is stopped.

    For example: `mlops status`, or `mlops status --json`
    """
    from zenml_mlops.local.services import show_urls

    with entered(environment) as settings:
        from zenml_mlops.status.status import read_status

        found = read_status(settings)
        if as_json:
            content = {title: section.model_dump(mode="json") for title, section in found.items()}
            answer = {"schema_version": 1, "environment": settings.environment, "sections": content}
            print_json(answer)
        else:
            for title, section in found.items():
                _show(title, section)
                console.print()
        if any(row["state"] == "stopped" for row in found["services"].rows):
            raise typer.Exit(3)
        if not as_json:
            show_urls(settings, lambda line: console.print(line, soft_wrap=True))


def _show(title: str, section: Section) -> None:
    if section.problem is not None:
        console.print(f"[bold]{title}[/bold]  [yellow]{escape(section.problem)}[/yellow]", soft_wrap=True)
        return
    if not section.rows:
        console.print(f"[bold]{title}[/bold]  nothing")
        return
    table = Table(*section.rows[0], box=None, pad_edge=False, header_style="dim")
    for row in section.rows:
        table.add_row(*map(_cell, row.values()))
    console.print(f"[bold]{title}[/bold]")
    print_table(table, console)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = escape(str(value))
    color = "green" if value in _GOOD else "red" if value in _BAD else None
    return f"[{color}]{text}[/{color}]" if color else text
