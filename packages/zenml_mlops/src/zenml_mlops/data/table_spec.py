"""What is said of a table of labelled rows; :mod:`zenml_mlops.data.tables` reads one, and makes rows up."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from zenml_mlops.configuration import Section

MAX_ROWS: Final = 20_000_000
"""Made-up rows, at most."""


class TableSpec(Section):
    """How the table is read, and what made-up rows are like. Nothing can be learned from those about anything.

    Attributes:
        numbered: Whether the row id is the position in the file, because no column is.
        rows: Number of made-up rows, unless somebody asks for another one.
        event_share: Share of them with the event, 0 to 1.
        strength: Weight of the score that decides the label, beside standard logistic noise.
        ranges: Smallest and largest made-up number, by column.
        values: Made-up texts, by column.
    """

    file: str = Field(min_length=1)
    numbered: bool = False
    rows: int = Field(default=10_000, gt=0, le=MAX_ROWS)
    seed: int = Field(default=42, ge=0)
    event_share: float = Field(default=0.5, gt=0, lt=1)
    strength: float = Field(default=1.0, ge=0)
    ranges: dict[str, tuple[float, float]] = Field(default_factory=dict)
    values: dict[str, tuple[str, ...]] = Field(default_factory=dict)
