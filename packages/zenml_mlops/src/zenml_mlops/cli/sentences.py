"""How a command prints its tables, and how one ends that cannot do what it was asked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import typer
from rich.console import Console

if TYPE_CHECKING:
    from rich.table import Table

    from zenml_airflow.settings.project import Settings

console, errors = Console(soft_wrap=True), Console(stderr=True)
WIDE = 170
"""Columns of a table that goes to a file or a pipe."""


def print_table(table: Table, console: Console = console) -> None:
    """Print a table as wide as the terminal; long texts are folded, since what is cut cannot be copied."""
    for column in table.columns:
        column.overflow = "fold"
    if not console.is_terminal:
        console = Console(file=console.file, width=max(console.width, WIDE))
    console.print(table)


@contextmanager
def sentences() -> Iterator[None]:
    """Turn the errors that name their own way out into one sentence and exit code 1."""
    from pydantic import ValidationError

    try:
        yield
    except typer.Exit:
        # A RuntimeError by inheritance, and no error.
        raise
    except KeyboardInterrupt:
        errors.print("[yellow]Interrupted.[/yellow]")
        raise typer.Exit(130) from None
    except ModuleNotFoundError as error:
        if error.name != "copier":
            raise
        fail(errors, "This command needs Copier: install zenml-airflow-mlops[new].", error)
    except (RuntimeError, ValueError, KeyError, OSError, ValidationError) as error:
        if os.environ.get("MLOPS_DEBUG") == "1":
            raise
        fail(errors, str(error), error)


@contextmanager
def entered(environment: str) -> Iterator[Settings]:
    """The same around what works in an environment, which the process enters."""
    with sentences():
        from zenml_mlops.environment.process import enter

        yield enter(environment)


def fail(console: Console, sentence: str, cause: Exception) -> NoReturn:
    """Print one sentence and end with exit code 1; the sentence may hold brackets, so it is no markup."""
    console.print("Error:", style="bold red", end=" ")
    console.print(sentence, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1) from cause
