"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated, Any

import typer

Environment = Annotated[str, typer.Option("--env", help="Environment, as in configs/ENV.yaml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Reason = Annotated[str, typer.Option("--reason", help="Reason, for the record.")]


def group(text: str) -> typer.Typer:
    """A group of commands."""
    return typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help=text)


def day_option(*names: str, **more: Any) -> Any:
    """An option whose value is a day, as midnight of it."""
    return typer.Option(*names, formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", **more)
