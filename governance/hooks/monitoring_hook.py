"""For the operators: duration, rows and memory of each step."""

from __future__ import annotations

from zenml_mlops.hooks.events import StepEnd
from zenml_mlops.observers.metrics import write_metrics


def monitoring_hook(end: StepEnd) -> None:
    """Send what is known of a step to StatsD and to an OpenMetrics file, where the environment names them."""
    write_metrics(end)
