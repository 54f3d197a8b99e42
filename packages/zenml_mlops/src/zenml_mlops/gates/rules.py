"""How the evidence for gates is gathered: plain data, loaded with a configuration, so no heavy import."""

from __future__ import annotations

from pydantic import Field, model_validator

from zenml_airflow.contracts.frozen import Frozen

COMPARISON_METRICS = ("average_precision", "roc_auc", "brier")
"""Metrics on which a challenger may be compared with the champion."""


class BootstrapConfig(Frozen):
    """How intervals are made: number of resamples and coverage (0 to 1)."""

    resamples: int = Field(ge=20)
    confidence: float = Field(gt=0, lt=1)


class SubgroupRules(Frozen):
    """Whose results are compared, and from which size on they are judged.

    Attributes:
        columns: Columns that hold the groups.
        min_rows: A group of fewer rows is reported, not evaluated.
        min_positives: A group of fewer rows with the event is reported, not evaluated.
    """

    columns: tuple[str, ...]
    min_rows: int = Field(ge=1)
    min_positives: int = Field(ge=1)


class StabilityRules(Frozen):
    """How stability is measured.

    Attributes:
        folds: Number of refits, and of slices of the test rows.
        rows: Training rows, at most, that the refits share; bounds their cost.
    """

    folds: int = Field(ge=2)
    rows: int = Field(ge=10)


class LatencyRules(Frozen):
    """How latency is measured: how many single rows, how many times the batch, and its size."""

    single_rows: int = Field(ge=2)
    batches: int = Field(ge=1)
    batch_rows: int = Field(ge=1)


class ComparisonRules(Frozen):
    """When a challenger counts as better, as not worse, or as worse than the champion.

    Attributes:
        primary: Metric on which a challenger must be surely better to be called better.
        margins: By metric, how much worse a challenger may be and still count as not worse; in the metric's unit.
        group_margin: The same for the AUC in a group of people.
        min_positives: With fewer rows of the event, among those that neither trained on, nothing is decided.
        slices: Number of stretches of time in which the difference is shown.
    """

    primary: str
    margins: dict[str, float] = Field(min_length=1)
    group_margin: float = Field(ge=0)
    min_positives: int = Field(ge=1)
    slices: int = Field(ge=1)

    @model_validator(mode="after")
    def _known(self) -> ComparisonRules:
        unknown = sorted(set(self.margins) - set(COMPARISON_METRICS))
        if unknown:
            raise ValueError(f"the metrics {unknown} are not compared; known: {list(COMPARISON_METRICS)}")
        if self.primary not in self.margins:
            raise ValueError(f"the primary metric {self.primary!r} has no margin")
        return self


class ChampionRules(Frozen):
    """From how many rows with the event on, among those that neither model trained on, models are compared."""

    min_positives: int = Field(ge=1)
