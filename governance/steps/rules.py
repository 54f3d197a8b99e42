"""How the evidence for gates is gathered: plain data, loaded with a configuration, so no heavy import."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class SubgroupRules(BaseModel):
    """Whose results are compared, and from which size on they are judged.

    Attributes:
        columns: Columns that hold the groups.
        min_rows: A group of fewer rows is reported, not judged.
        min_positives: A group of fewer rows with the event is reported, not judged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: tuple[str, ...]
    min_rows: int = Field(ge=1)
    min_positives: int = Field(ge=1)


class StabilityRules(BaseModel):
    """How stability is measured.

    Attributes:
        folds: Number of refits, and of slices of the test rows.
        rows: Training rows, at most, that the refits share; bounds their cost.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    folds: int = Field(ge=2)
    rows: int = Field(ge=10)


class LatencyRules(BaseModel):
    """How latency is measured: how many single rows, how many times the batch, and its size."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    single_rows: int = Field(ge=2)
    batches: int = Field(ge=1)
    batch_rows: int = Field(ge=1)


class ChampionRules(BaseModel):
    """From how many rows with the event on, among those that neither model trained on, models are compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_positives: int = Field(ge=1)
