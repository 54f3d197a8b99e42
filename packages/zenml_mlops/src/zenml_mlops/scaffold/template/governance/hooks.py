"""Who is notified when a step ends: the pipelines name these two as ``on_success`` and ``on_failure``."""

from __future__ import annotations

from typing import Final

from zenml_mlops.observers.compliance import record_step
from zenml_mlops.observers.metrics import write_metrics
from zenml_mlops.observers.observing import Observer, observe
from zenml_mlops.observers.tracking import tag_mlflow_run

OBSERVERS: Final[tuple[Observer, ...]] = (write_metrics, record_step, tag_mlflow_run)


def observe_success() -> None:
    """Tell the observers that the running step has succeeded."""
    observe(OBSERVERS, None)


def observe_failure(error: BaseException) -> None:
    """Tell the observers that the running step has failed, and why."""
    observe(OBSERVERS, error)
