"""What is wrong with a stack file, and where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Place:
    """A line of a file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        place: The line that is wrong, or the nearest one above that exists.
        field: Path of the field, such as ``components.artifact_store.main.config.path``; empty for the whole file.
        message: The rule, the value found, the way out.
    """

    place: Place
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.field + ': ' if self.field else ''}{self.message}"


class StackFileError(ValueError):
    """A stack file is missing or wrong. The message names every problem, a line each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))
