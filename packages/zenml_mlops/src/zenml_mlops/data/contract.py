"""The contract of a use case: what a row is, which columns it has, and which rows a model is for."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from zenml_mlops.configuration import Section

if TYPE_CHECKING:
    import pandas as pd


class ColumnType(StrEnum):
    """The types that a column has in a partition: 64-bit integer, 64-bit floating point, or text."""

    INTEGER = "integer"
    NUMBER = "number"
    TEXT = "text"


class ColumnRule(Section):
    """What one column may hold.

    Attributes:
        required: Whether a missing value makes the row bad.
        minimum: Smallest accepted number, inclusive.
        maximum: Largest accepted number, inclusive. An integer without one is a code, and no count.
        values: Closed vocabulary; ``None`` leaves it open.
    """

    name: str
    type: ColumnType
    required: bool = True
    minimum: int | float | None = None
    maximum: int | float | None = None
    values: tuple[str, ...] | None = None
    feature: bool = True


class Exclusion(Section):
    """Rows that the model is not for: no training run sees them, and none of them is scored.

    Attributes:
        column: Name of an integer column.
        codes: Its values that exclude a row.
        meaning: What they stand for, as it follows "is" in a sentence.
    """

    column: str
    codes: frozenset[int]
    meaning: str


class Contract(Section):
    """What the rows of a use case are. It is data alone, and stands beside each model.

    Attributes:
        case: What one row is, for sentences.
        group: What rows can have in common, so that they are not independent.
        row_id: Name of the integer column that names a row; ids grow with time.
        group_id: Name of the column that names the group; the row id, where each row is a group of its own.
        label: Name of the label, which the source has beside the columns.
        labels: The values that it may have.
        event: The one of them whose probability is the risk.
        excluded: Rows that the model is not for; ``None`` if it is for all.
        columns: Every column of a daily partition, in order.
    """

    case: str
    group: str
    row_id: str
    group_id: str
    label: str
    labels: tuple[str, ...]
    event: str
    excluded: Exclusion | None = None
    columns: tuple[ColumnRule, ...]

    @property
    def features(self) -> list[str]:
        """Names of the columns that the model reads, in the order it was trained with."""
        return [rule.name for rule in self.columns if rule.feature]

    @property
    def identifiers(self) -> tuple[str, ...]:
        """The columns that name a row or its group; one column where each row is a group of its own."""
        return tuple(dict.fromkeys((self.row_id, self.group_id)))

    def in_scope(self, frame: pd.DataFrame) -> pd.Series:
        """Which rows the model is for: n booleans."""
        if self.excluded is None:
            return ~frame[self.row_id].isin(())
        return ~frame[self.excluded.column].isin(self.excluded.codes)

    def events(self, frame: pd.DataFrame) -> pd.Series:
        """Whether the event happened: n integers, 0 or 1."""
        return (frame[self.label] == self.event).astype("int64")
