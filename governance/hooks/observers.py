"""Who is notified when a step ends: the pipelines name these two as ``on_success`` and ``on_failure``.

Add your own to ``OBSERVERS``. They observe only: what one raises is logged and recorded with the run, the others
are notified all the same, and the result of the step stays what it is.
"""

from __future__ import annotations

from typing import Final

from governance.hooks.compliance_hook import compliance_hook
from governance.hooks.mlflow_hook import mlflow_hook
from governance.hooks.monitoring_hook import monitoring_hook
from zenml_mlops.observers.observing import Observer, observe

OBSERVERS: Final[tuple[Observer, ...]] = (monitoring_hook, compliance_hook, mlflow_hook)


def observe_success() -> None:
    """Tell the observers that the running step has succeeded."""
    observe(OBSERVERS, None)


def observe_failure(error: BaseException) -> None:
    """Tell the observers that the running step has failed, and why."""
    observe(OBSERVERS, error)
