"""What a contract is made of: the rules of columns, and which rows a model is for."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class ColumnType(StrEnum):
    """The types that a column has in a partition: 64-bit integer, 64-bit floating point, or text."""

    INTEGER = "integer"
    NUMBER = "number"
    TEXT = "text"


class ColumnRule(BaseModel):
    """What one column may hold.

    Attributes:
        name: Name of the column.
        type: Its type.
        required: Whether a missing value makes the row bad.
        minimum: Smallest accepted number, inclusive.
        maximum: Largest accepted number, inclusive. An integer without one is a code, and no count.
        values: Closed vocabulary; ``None`` leaves it open.
        feature: Whether the model reads the column.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    type: ColumnType
    required: bool = True
    minimum: int | float | None = None
    maximum: int | float | None = None
    values: tuple[str, ...] | None = None
    feature: bool = True


class FeatureSchema(BaseModel):
    """What a model's input must look like; stored beside the model.

    Attributes:
        columns: The contract of every input column, in order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: tuple[ColumnRule, ...]

    @property
    def features(self) -> list[str]:
        """Names of the columns that the model reads, in the order it was trained with."""
        return [rule.name for rule in self.columns if rule.feature]


class Exclusion(BaseModel):
    """Rows that the model is not for: no training run sees them, and none of them is scored.

    Attributes:
        column: Name of an integer column.
        codes: Its values that exclude a row.
        meaning: What they stand for, as it follows "is" in a sentence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str
    codes: frozenset[int]
    meaning: str
