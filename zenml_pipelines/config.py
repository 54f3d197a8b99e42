"""What configures the pipelines: frozen, typed, without a default for any number that matters.

The values stand in ``configs/``. A configuration travels as a pipeline parameter, so ZenML records it with
every run. It holds relative locations only; a step resolves them with the run context, so no machine path
gets into a snapshot.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from zenml_mlops.cards.card import CardTexts
from zenml_mlops.gates.limits import Limit
from zenml_mlops.gates.rules import ChampionRules, ContestRules, LatencyRules, StabilityRules, SubgroupRules
from zenml_pipelines.monitoring.config import MonitoringRules

GENERIC_PARAMS = frozenset({"date"})
"""Run parameters that any run may carry and that no pipeline configuration reads."""


_C = TypeVar("_C", bound=BaseModel)


class ConfigError(ValueError):
    """A configuration or a run-time override is wrong. The message names every problem."""


class Estimator(StrEnum):
    """The estimators that training knows."""

    HIST_GRADIENT_BOOSTING = "hist_gradient_boosting"
    LOGISTIC_REGRESSION = "logistic_regression"


class Stage(StrEnum):
    """The stages whose model version may score."""

    STAGING = "staging"
    PRODUCTION = "production"


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class HistGradientBoostingParams(_Config):
    """Hyper-parameters of ``sklearn.ensemble.HistGradientBoostingClassifier``."""

    learning_rate: float = Field(gt=0)
    max_iter: int = Field(gt=0)
    max_leaf_nodes: int = Field(gt=1)
    min_samples_leaf: int = Field(gt=0)
    l2_regularization: float = Field(ge=0)
    max_features: float = Field(gt=0, le=1)


class LogisticRegressionParams(_Config):
    """Hyper-parameters of ``sklearn.linear_model.LogisticRegression``."""

    C: float = Field(gt=0)
    max_iter: int = Field(gt=0)


class BootstrapConfig(_Config):
    """How intervals are made: number of resamples and coverage (0 to 1)."""

    resamples: int = Field(ge=20)
    confidence: float = Field(gt=0, lt=1)


class ExaminationConfig(_Config):
    """How the evidence for the gates is gathered.

    Attributes:
        subgroups: Whose results are compared.
        stability: Number and size of the refits.
        latency: How many predictions are timed.
        champion: When the comparison with the version in production decides.
    """

    subgroups: SubgroupRules
    stability: StabilityRules
    latency: LatencyRules
    champion: ChampionRules


class TrainingConfig(_Config):
    """Configuration of the ``training`` pipeline.

    Attributes:
        raw_data: Location of the source CSV.
        model_name: Name of the model in ZenML's Model Control Plane.
        holdout_fraction: Latest share of the rows, reserved for the daily feed.
        test_fraction: Latest share of the remaining rows, held out for the evaluation.
        estimator: Which estimator is trained; a run may override it with the parameter ``estimator``.
        hist_gradient_boosting: Its hyper-parameters.
        logistic_regression: Its hyper-parameters.
        min_category_frequency: A category rarer than this among the training rows (absolute count) is merged
            with the other rare ones.
        seed: Seed of the estimator and of the bootstrap.
        bootstrap: How intervals are made.
        champion_stage: Stage whose version a new one is compared with: its data and its skill.
        decision_threshold: The one of batch inference; 0 to 1.
        examination: How the evidence for the gates is gathered.
        data_gates: Limits that the data must keep, by name.
        gates: Limits that a model must keep, by name.
        card: What the model card says of the model.
    """

    raw_data: str = Field(min_length=1)
    model_name: str = Field(min_length=1)
    holdout_fraction: float = Field(ge=0, lt=1)
    test_fraction: float = Field(gt=0, lt=1)
    estimator: Estimator
    hist_gradient_boosting: HistGradientBoostingParams
    logistic_regression: LogisticRegressionParams
    min_category_frequency: int = Field(gt=0)
    seed: int
    bootstrap: BootstrapConfig
    champion_stage: Stage
    decision_threshold: float = Field(gt=0, lt=1)
    examination: ExaminationConfig
    data_gates: dict[str, Limit] = Field(min_length=1)
    gates: dict[str, Limit] = Field(min_length=1)
    card: CardTexts

    def with_params(self, params: Mapping[str, Any]) -> TrainingConfig:
        """The configuration with a run's overrides (``estimator``) applied.

        Raises:
            ConfigError: If a parameter is unknown or its value is not accepted.
        """
        return _override(self, params, frozenset({"estimator"}))


class ShardRules(_Config):
    """How many shards a day becomes.

    Attributes:
        rows: Rows that one shard holds at most, unless there would be more than ``most`` shards.
        most: Number of shards of the largest day.
    """

    rows: int = Field(gt=0)
    most: int = Field(gt=0, le=1000)

    def spans(self, rows: int) -> list[tuple[int, int]]:
        """Cut rows into spans of nearly equal size: first row, and the row after the last; at least one span."""
        count = max(1, min(self.most, -(-rows // self.rows)))
        return [(rows * number // count, rows * (number + 1) // count) for number in range(count)]


class ShadowRules(_Config):
    """Whether a challenger scores each day too, beside the predictions.

    Attributes:
        enabled: Whether it does.
        version: Number of the challenger; by default the version in ``staging``.
    """

    enabled: bool
    version: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _version_has_an_effect(self) -> Self:
        if self.version is not None and not self.enabled:
            raise ValueError(f"version {self.version} has no effect while enabled is false")
        return self


class BatchInferenceConfig(_Config):
    """Configuration of the ``batch_inference`` pipeline.

    Attributes:
        landing: Root of the daily input partitions.
        predictions: Root of the daily predictions.
        quarantine: Root of the rows that were refused.
        shadow_scores: Root of what a challenger made of the same partitions.
        model_name: Name of the model in ZenML's Model Control Plane.
        stage: Stage whose version scores.
        decision_threshold: A risk at or above it is a ``high_risk`` decision; 0 to 1.
        batch_rows: Rows per Arrow record batch; bounds the memory of a run.
        shards: How many shards a day is scored in where the environment runs them as tasks of their own.
        shadow: Whether a challenger scores too.
    """

    landing: str = Field(min_length=1)
    predictions: str = Field(min_length=1)
    quarantine: str = Field(min_length=1)
    shadow_scores: str = Field(min_length=1)
    model_name: str = Field(min_length=1)
    stage: Stage
    decision_threshold: float = Field(gt=0, lt=1)
    batch_rows: int = Field(gt=0)
    shards: ShardRules
    shadow: ShadowRules

    @model_validator(mode="after")
    def _shadow_has_a_place_of_its_own(self) -> Self:
        shadow = _place(self.shadow_scores)
        for name in ("landing", "predictions", "quarantine"):
            other = _place(getattr(self, name))
            if shadow.startswith(other) or other.startswith(shadow):
                raise ValueError(
                    f"storage.shadow {self.shadow_scores!r} and storage.{name} {getattr(self, name)!r} lie in one "
                    "another: readers of one would meet the other"
                )
        return self

    def with_params(self, params: Mapping[str, Any]) -> BatchInferenceConfig:
        """The configuration of a run: batch inference takes no overrides, so this only refuses unknown ones.

        Raises:
            ConfigError: If the run carries a parameter that would have no effect.
        """
        return _override(self, params, frozenset())


class ChampionChallengerConfig(_Config):
    """Configuration of the ``champion_challenger`` pipeline.

    Attributes:
        raw_data: Location of the source CSV, whose labels are known.
        model_name: Name of the model in ZenML's Model Control Plane.
        stage: Stage of the champion; a run may name another.
        version: Number of the challenger; a run may name it. By default the newest version that is in no stage.
        seed: Seed of the bootstrap.
        bootstrap: How intervals are made.
        subgroups: Groups of people in which the two are compared.
        rules: What counts as better or worse.
    """

    raw_data: str = Field(min_length=1)
    model_name: str = Field(min_length=1)
    stage: Stage
    version: int | None = Field(default=None, ge=1)
    seed: int
    bootstrap: BootstrapConfig
    subgroups: SubgroupRules
    rules: ContestRules

    def with_params(self, params: Mapping[str, Any]) -> ChampionChallengerConfig:
        """The configuration with a run's ``version`` and ``stage`` applied.

        Raises:
            ConfigError: If a parameter is unknown or its value is not accepted.
        """
        return _override(self, params, frozenset({"version", "stage"}))


class MonitoringConfig(_Config):
    """Configuration of the ``monitoring`` pipeline.

    Attributes:
        landing: Root of the daily input partitions.
        predictions: Root of the daily predictions.
        outcomes: Root of what became of the cases that were scored.
        findings: Root of what monitoring found.
        model_name: Name of the model in ZenML's Model Control Plane.
        batch_rows: Rows in memory at once.
        seed: Seed of the bootstrap.
        bootstrap: How intervals are made.
        rules: What is flagged, and what becomes an alert.
    """

    landing: str = Field(min_length=1)
    predictions: str = Field(min_length=1)
    outcomes: str = Field(min_length=1)
    findings: str = Field(min_length=1)
    model_name: str = Field(min_length=1)
    batch_rows: int = Field(gt=0)
    seed: int
    bootstrap: BootstrapConfig
    rules: MonitoringRules

    def with_params(self, params: Mapping[str, Any]) -> MonitoringConfig:
        """The configuration of a run: monitoring takes no overrides, so this only refuses unknown ones.

        Raises:
            ConfigError: If the run carries a parameter that would have no effect.
        """
        return _override(self, params, frozenset())


def build_training_config(settings: Mapping[str, Any]) -> TrainingConfig:
    """Build the training configuration from an environment's settings (keys ``data``, ``pipelines``).

    Raises:
        ConfigError: If the settings break the schema; all problems at once.
    """
    from zenml_pipelines.data.schema import CSV_NAME

    data = settings["data"]
    section = {
        **settings["pipelines"]["training"],
        "raw_data": f"{data['raw'].rstrip('/')}/{CSV_NAME}",
        "holdout_fraction": data["holdout_fraction"],
        # What decides and what is compared are those of the pipeline that scores.
        "champion_stage": settings["pipelines"]["batch_inference"]["stage"],
        "decision_threshold": settings["pipelines"]["batch_inference"]["decision_threshold"],
    }
    return _validated(TrainingConfig, section, "training")


def build_batch_inference_config(settings: Mapping[str, Any]) -> BatchInferenceConfig:
    """Build the batch inference configuration from an environment's settings (``storage``, ``pipelines``).

    Raises:
        ConfigError: If the settings break the schema; all problems at once.
    """
    storage = settings["storage"]
    section = {
        **settings["pipelines"]["batch_inference"],
        **{key: storage[key] for key in ("landing", "predictions", "quarantine")},
        "shadow_scores": storage["shadow"],
    }
    return _validated(BatchInferenceConfig, section, "batch_inference")


def build_champion_challenger_config(settings: Mapping[str, Any]) -> ChampionChallengerConfig:
    """Build the configuration of the comparison from an environment's settings (keys ``data``, ``pipelines``).

    Raises:
        ConfigError: If the settings break the schema; all problems at once.
    """
    from zenml_pipelines.data.schema import CSV_NAME

    training = settings["pipelines"]["training"]
    section = {
        **settings["pipelines"]["champion_challenger"],
        "raw_data": f"{settings['data']['raw'].rstrip('/')}/{CSV_NAME}",
        "stage": settings["pipelines"]["batch_inference"]["stage"],
        # The groups, the seed and the intervals are those by which the model was judged when it was trained.
        **{key: training[key] for key in ("model_name", "seed", "bootstrap")},
        "subgroups": training["examination"]["subgroups"],
    }
    return _validated(ChampionChallengerConfig, section, "champion_challenger")


def build_monitoring_config(settings: Mapping[str, Any]) -> MonitoringConfig:
    """Build the configuration of monitoring from an environment's settings (``storage``, ``pipelines``).

    Raises:
        ConfigError: If the settings break the schema; all problems at once.
    """
    storage, scoring = settings["storage"], settings["pipelines"]["batch_inference"]
    section = {
        **settings["pipelines"]["monitoring"],
        **{key: storage[key] for key in ("landing", "predictions", "outcomes")},
        "findings": storage["monitoring"],
        # What is watched is what is scored; intervals are made as when the model was judged.
        **{key: scoring[key] for key in ("model_name", "batch_rows")},
        **{key: settings["pipelines"]["training"][key] for key in ("seed", "bootstrap")},
    }
    return _validated(MonitoringConfig, section, "monitoring")


def _validated(config_class: type[_C], section: Mapping[str, Any], name: str) -> _C:
    try:
        return config_class.model_validate(section)
    except ValidationError as error:
        raise ConfigError(f"pipelines.{name} in configs/: {_problems(error)}") from error


def _override(config: _C, params: Mapping[str, Any], allowed: frozenset[str]) -> _C:
    unknown = sorted(set(params) - allowed - GENERIC_PARAMS)
    if unknown:
        raise ConfigError(
            f"The run parameters {unknown} have no effect on this pipeline: it accepts "
            f"{sorted(allowed | GENERIC_PARAMS)}. Everything else is changed in configs/ and deployed."
        )
    chosen = {key: params[key] for key in allowed if params.get(key) is not None}
    try:
        return type(config).model_validate({**config.model_dump(), **chosen})
    except ValidationError as error:
        raise ConfigError(f"The run parameters {chosen} are not accepted: {_problems(error)}") from error


def _place(location: str) -> str:
    """A location in the one spelling by which it is compared with others."""
    scheme, separator, path = location.rpartition("://")
    return f"{scheme}{separator}{posixpath.normpath(path)}/"


def _problems(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in item['loc']) or 'section'}: {item['msg']}" for item in error.errors()
    )
