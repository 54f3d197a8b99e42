"""The rules of monitoring: what is flagged, what becomes an alert, what asks for a new training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from zenml_mlops.configuration import PipelineConfig, Section
from zenml_mlops.gates.rules import BootstrapConfig


class DifferenceRules(Section):
    """When two distributions differ.

    Attributes:
        false_discovery_rate: Share of wrong ones among the differences that are called certain, 0 to 1.
        minimum_effect: Smallest difference that counts, 0 to 1.
    """

    false_discovery_rate: float = Field(gt=0, lt=1)
    minimum_effect: float = Field(ge=0, le=1)


class QualityRules(Section):
    """When values are missing, new, or refused too often.

    Attributes:
        false_discovery_rate: As of the differences.
        minimum_rise: Smallest rise of a share that counts, 0 to 1.
        maximum_quarantined: Share of refused rows that is accepted, 0 to 1.
    """

    false_discovery_rate: float = Field(gt=0, lt=1)
    minimum_rise: float = Field(ge=0, le=1)
    maximum_quarantined: float = Field(ge=0, le=1)


class VolumeRules(Section):
    """When a day has too few or too many rows.

    Attributes:
        minimum_history: Earlier days that are needed to tell.
        p_value: Probability by chance from which a change is certain.
        minimum_change: Smallest relative change that counts; 0.35 is 35 percent more or less.
    """

    minimum_history: int = Field(ge=3)
    p_value: float = Field(gt=0, lt=1)
    minimum_change: float = Field(gt=0)


class PerformanceRules(Section):
    """When the realised performance is no longer that of the evaluation.

    Attributes:
        label_delay_days: Days after which the outcome of a case is known.
        minimum_positives: Rows with the event that are needed to tell.
        maximum_loss: By metric, how much worse than in the evaluation it may be; a check is flagged where the
            whole interval lies beyond that.
    """

    label_delay_days: int = Field(ge=1)
    minimum_positives: int = Field(ge=10)
    maximum_loss: dict[str, float] = Field(min_length=1)


class Persistence(Section):
    """A check becomes an alert when its latest day and enough of the last days are flagged.

    Attributes:
        flagged: Number of flagged days that are needed, the latest among them.
        of: Number of last days in which they lie.
    """

    flagged: int = Field(ge=1)
    of: int = Field(ge=1)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.flagged > self.of:
            raise ValueError(f"{self.flagged} flagged days cannot lie in {self.of}")
        return self


class PersistenceRules(Section):
    """Persistence by kind of check."""

    drift: Persistence
    predictions: Persistence
    quality: Persistence
    volume: Persistence
    performance: Persistence


class MonitoringRules(Section):
    """All rules.

    Attributes:
        window_days: Days that trends, the history of volumes and the realised performance look back on.
        drift: Of each input.
        predictions: Of the risks.
        quality: Of values and refused rows.
        volume: Of the number of rows.
        performance: Of what became of the cases.
        persistence: When a flagged check becomes an alert.
        retrain_on: Kinds whose new alert asks for a new training.
    """

    window_days: int = Field(ge=7, le=366)
    drift: DifferenceRules
    predictions: DifferenceRules
    quality: QualityRules
    volume: VolumeRules
    performance: PerformanceRules
    persistence: PersistenceRules
    retrain_on: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        kinds = set(PersistenceRules.model_fields)
        if unknown := set(self.retrain_on) - kinds:
            raise ValueError(f"retrain_on names {sorted(unknown)}; the kinds of checks are {sorted(kinds)}")
        longest = max(getattr(self.persistence, kind).of for kind in kinds)
        if longest > self.window_days:
            raise ValueError(f"persistence looks back {longest} days, window_days only {self.window_days}")
        return self


class MonitoringConfig(PipelineConfig):
    """Configuration of the ``monitoring`` pipeline.

    Attributes:
        landing: Root of the daily input partitions.
        predictions: Root of the daily predictions.
        outcomes: Root of what became of the cases that were scored.
        findings: Root of what monitoring found.
        model_name: Name of the model in ZenML's Model Control Plane.
        batch_rows: Rows in memory at once.
    """

    SECTION: ClassVar[str] = "monitoring"

    landing: str = Field(min_length=1)
    predictions: str = Field(min_length=1)
    outcomes: str = Field(min_length=1)
    findings: str = Field(min_length=1)
    model_name: str = Field(min_length=1)
    batch_rows: int = Field(gt=0)
    seed: int
    bootstrap: BootstrapConfig
    rules: MonitoringRules

    @classmethod
    def shared(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """See :class:`PipelineConfig`."""
        storage, scoring = settings["storage"], settings["pipelines"]["batch_inference"]
        return {
            **{key: storage[key] for key in ("landing", "predictions", "outcomes")},
            "findings": storage["monitoring"],
            # What is watched is what is scored; intervals are made as when the model was judged.
            **{key: scoring[key] for key in ("model_name", "batch_rows")},
            **{key: settings["pipelines"]["training"][key] for key in ("seed", "bootstrap")},
        }
