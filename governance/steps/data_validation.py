"""The gate on data."""

from __future__ import annotations

from typing import Any

from zenml_mlops.gates.limits import GateLimits
from zenml_mlops.gates.steps import data_gate
from zenml_mlops.training.config import TrainingConfig


def data_validation(found: Any, config: TrainingConfig) -> Any:
    """Place ``data_gate`` with the limits of ``pipelines.training.data_gates``.

    Args:
        found: What ``examine_data`` found.

    Returns:
        The report, which the split demands.
    """
    return data_gate(found, gate=GateLimits(limits=config.data_gates))
