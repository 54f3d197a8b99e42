"""The gate on a model."""

from __future__ import annotations

from typing import Any

from zenml import Model

from zenml_mlops.gates.limits import GateLimits
from zenml_mlops.gates.steps import quality_gate
from zenml_mlops.training.config import TrainingConfig


def model_validation(
    metrics: Any, examination: Any, data_report: Any, *, model: Model, config: TrainingConfig
) -> Any:
    """Place ``quality_gate`` with the limits of ``pipelines.training.gates``.

    Args:
        metrics: What ``evaluate_model`` measured.
        examination: What ``examine_model`` found.
        data_report: The report of the gate on data, which is recorded with this one's.

    Returns:
        The report, without which nothing is registered.
    """
    return quality_gate.with_options(model=model)(
        metrics, gate=GateLimits(limits=config.gates), examination=examination, data_report=data_report
    )
