"""What configures the training of this use case: the estimators that it knows, and their hyper-parameters."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from zenml_mlops.configuration import Section
from zenml_mlops.training import config


class HistGradientBoosting(Section):
    """Hyper-parameters of ``sklearn.ensemble.HistGradientBoostingClassifier``."""

    learning_rate: float = Field(gt=0)
    max_iter: int = Field(gt=0)
    max_leaf_nodes: int = Field(gt=1)
    min_samples_leaf: int = Field(gt=0)
    l2_regularization: float = Field(ge=0)
    max_features: float = Field(gt=0, le=1)


class LogisticRegression(Section):
    """Hyper-parameters of ``sklearn.linear_model.LogisticRegression``."""

    C: float = Field(gt=0)
    max_iter: int = Field(gt=0)


class Estimators(Section):
    """The estimators that :func:`zenml_pipelines.model.build_model` can make."""

    hist_gradient_boosting: HistGradientBoosting
    logistic_regression: LogisticRegression


class TrainingConfig(config.TrainingConfig):
    """The platform's configuration of training, with the hyper-parameters checked."""

    @field_validator("estimators")
    @classmethod
    def _accepted(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        Estimators.model_validate(value)
        return value
