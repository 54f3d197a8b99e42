"""What configures training, and the comparison of a new version with the champion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from zenml_mlops.cards.card import CardTexts
from zenml_mlops.configuration import PipelineConfig, Section
from zenml_mlops.data.use_case import load_use_case
from zenml_mlops.gates.limits import Limit
from zenml_mlops.gates.rules import (
    BootstrapConfig,
    ChampionRules,
    ComparisonRules,
    LatencyRules,
    StabilityRules,
    SubgroupRules,
)
from zenml_mlops.inference.config import Stage


class ExaminationConfig(Section):
    """How the evidence for the gates is gathered."""

    subgroups: SubgroupRules
    stability: StabilityRules
    latency: LatencyRules
    champion: ChampionRules


class TrainingConfig(PipelineConfig):
    """Configuration of the ``training`` pipeline.

    Attributes:
        raw_data: Location of the source CSV.
        model_name: Name of the model in ZenML's Model Control Plane.
        holdout_fraction: Latest share of the rows, reserved for the daily feed.
        test_fraction: Latest share of the remaining rows, held out for the evaluation.
        estimator: Which estimator is trained; a run may override it with the parameter ``estimator``.
        estimators: The hyper-parameters of each, by its name.
        min_category_frequency: A category rarer than this among the training rows (absolute count) is merged
            with the other rare ones.
        seed: Seed of the estimator and of the bootstrap.
        champion_stage: Stage whose version a new one is compared with: its data and its skill.
        decision_threshold: The one of batch inference; 0 to 1.
        data_gates: Limits that the data must keep, by name.
        gates: Limits that a model must keep, by name.
    """

    SECTION: ClassVar[str] = "training"
    OVERRIDES: ClassVar[frozenset[str]] = frozenset({"estimator"})

    raw_data: str = Field(min_length=1)
    model_name: str = Field(min_length=1)
    holdout_fraction: float = Field(ge=0, lt=1)
    test_fraction: float = Field(gt=0, lt=1)
    estimator: str
    estimators: dict[str, dict[str, Any]] = Field(min_length=1)
    min_category_frequency: int = Field(gt=0)
    seed: int
    bootstrap: BootstrapConfig
    champion_stage: Stage
    decision_threshold: float = Field(gt=0, lt=1)
    examination: ExaminationConfig
    data_gates: dict[str, Limit] = Field(min_length=1)
    gates: dict[str, Limit] = Field(min_length=1)
    card: CardTexts

    @model_validator(mode="after")
    def _estimator_is_known(self) -> Self:
        if self.estimator not in self.estimators:
            raise ValueError(f"the estimator {self.estimator!r} is none of {sorted(self.estimators)}")
        return self

    @classmethod
    def shared(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """See :class:`PipelineConfig`."""
        # What decides and what is compared are those of the pipeline that scores.
        scoring = settings["pipelines"]["batch_inference"]
        return {
            "raw_data": _raw_data(settings),
            "holdout_fraction": settings["data"]["holdout_fraction"],
            "champion_stage": scoring["stage"],
            "decision_threshold": scoring["decision_threshold"],
        }


class ChampionChallengerConfig(PipelineConfig):
    """Configuration of the ``champion_challenger`` pipeline.

    Attributes:
        raw_data: Location of the source CSV, whose labels are known.
        model_name: Name of the model in ZenML's Model Control Plane.
        stage: Stage of the champion; a run may name another.
        version: Number of the challenger; a run may name it. By default the newest version that is in no stage.
        subgroups: Groups of people in which the two are compared.
        rules: What counts as better or worse.
    """

    SECTION: ClassVar[str] = "champion_challenger"
    OVERRIDES: ClassVar[frozenset[str]] = frozenset({"version", "stage"})

    raw_data: str = Field(min_length=1)
    model_name: str = Field(min_length=1)
    stage: Stage
    version: int | None = Field(default=None, ge=1)
    seed: int
    bootstrap: BootstrapConfig
    subgroups: SubgroupRules
    rules: ComparisonRules

    @classmethod
    def shared(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """See :class:`PipelineConfig`."""
        training = settings["pipelines"]["training"]
        return {
            "raw_data": _raw_data(settings),
            "stage": settings["pipelines"]["batch_inference"]["stage"],
            # The groups, the seed and the intervals are those by which the model was judged when it was trained.
            **{key: training[key] for key in ("model_name", "seed", "bootstrap")},
            "subgroups": training["examination"]["subgroups"],
        }


def _raw_data(settings: Mapping[str, Any]) -> str:
    return f"{settings['data']['raw'].rstrip('/')}/{load_use_case(settings['definition']).source_file}"
