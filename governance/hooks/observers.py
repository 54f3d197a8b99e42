"""What ZenML calls when a step ends: every observer, one after the other, whatever the others do.

Place them as a pipeline's ``on_success`` and ``on_failure``. They observe only: what they raise is logged and
recorded with the run, and the result of the step stays what it is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from governance.hooks.compliance_hook import compliance_hook
from governance.hooks.mlflow_hook import mlflow_hook
from governance.hooks.monitoring_hook import monitoring_hook
from zenml_mlops.hooks.events import StepEnd, step_end

log = logging.getLogger(__name__)

HOOK_FAILURES = "hook_failures"
"""Key of a run's metadata that lists the observers that failed, by step."""

OBSERVERS: tuple[Callable[[StepEnd], None], ...] = (monitoring_hook, compliance_hook, mlflow_hook)


def observe_success() -> None:
    """Tell the observers that the running step has succeeded."""
    _observe(None)


def observe_failure(error: BaseException) -> None:
    """Tell the observers that the running step has failed, and why."""
    _observe(error)


def _observe(error: BaseException | None) -> None:
    end = step_end(error)
    failures = []
    for observer in OBSERVERS:
        try:
            observer(end)
        except Exception as problem:
            log.exception("The hook %s failed; the result of step %s stays.", observer.__name__, end.step)
            failures.append(f"{end.step}: {observer.__name__}: {type(problem).__name__}: {problem}")
    if failures:
        _show(end, failures)


def _show(end: StepEnd, failures: list[str]) -> None:
    from zenml import log_metadata
    from zenml.client import Client

    earlier: Any = Client().get_pipeline_run(end.run.id).run_metadata.get(HOOK_FAILURES, [])
    log_metadata(metadata={HOOK_FAILURES: [*earlier, *failures]}, run_id_name_or_prefix=end.run.id)
