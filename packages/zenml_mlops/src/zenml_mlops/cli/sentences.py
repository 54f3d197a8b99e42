"""How a command ends that cannot do what it was asked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from zenml_mlops.cli.data import fail

errors = Console(stderr=True)


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
    except (RuntimeError, ValueError, KeyError, OSError, ValidationError) as error:
        if os.environ.get("MLOPS_DEBUG") == "1":
            raise
        fail(errors, str(error), error)
