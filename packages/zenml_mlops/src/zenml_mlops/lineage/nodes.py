"""What a lineage is made of: links, each with what is recorded of it and whether it is there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from zenml_airflow.contracts.frozen import Frozen

SCHEMA_VERSION: Final = 1


class Kind(StrEnum):
    """What a link leads to."""

    PREDICTION = "prediction"
    REFUSED_ROW = "refused_row"
    SOURCE_ROW = "source_row"
    PARTITION = "partition"
    ZENML_RUN = "zenml_run"
    AIRFLOW_RUN = "airflow_run"
    MODEL_VERSION = "model_version"
    ORIGIN = "origin"
    GATES = "gates"
    APPROVAL = "approval"
    TRANSITION = "transition"
    TRAINING_DATA = "training_data"
    TRAINING_ROW = "training_row"
    CODE = "code"
    LOCK = "lock"
    IMAGE = "image"
    AUDIT = "audit"


class State(StrEnum):
    """Whether a link is there."""

    RECORDED = "recorded"
    IMPORTED = "imported"
    NONE = "none"
    CHANGED = "changed"
    MISSING = "missing"


BROKEN: Final = frozenset({State.CHANGED, State.MISSING})
"""States in which an auditor cannot follow a link; ``none`` is a link that does not have to be there."""


class Node(Frozen):
    """A link, and those that follow from it.

    Attributes:
        kind: What it leads to.
        title: The same in a few words.
        facts: What is recorded of it, by name; plain data.
        note: What is missing or different, in a sentence.
    """

    kind: Kind
    title: str
    state: State = State.RECORDED
    facts: dict[str, Any] = {}
    note: str | None = None
    children: tuple[Node, ...] = ()

    def walk(self) -> Iterator[Node]:
        """The link and all that follow."""
        yield self
        for child in self.children:
            yield from child.walk()


class Report(Frozen):
    """The answer to a question about lineage."""

    schema_version: int = SCHEMA_VERSION
    asked: dict[str, str]
    trees: tuple[Node, ...]

    @property
    def broken(self) -> list[Node]:
        """The links that cannot be followed."""
        return [node for tree in self.trees for node in tree.walk() if node.state in BROKEN]


def facts(**values: Any) -> dict[str, Any]:
    """Facts as plain data: without those that are not known, with spaces in their names."""
    return {name.replace("_", " "): _plain(value) for name, value in values.items() if value is not None}


def missing(kind: Kind, title: str, note: str, **known: Any) -> Node:
    """A link that is not there."""
    return Node(kind=kind, title=title, state=State.MISSING, note=note, facts=facts(**known))


def _plain(value: Any) -> Any:
    if isinstance(value, UUID | StrEnum):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return value.isoformat() if isinstance(value, date) else value
