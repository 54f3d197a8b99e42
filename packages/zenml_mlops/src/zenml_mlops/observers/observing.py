"""Observers of a step that has ended, one after the other, whatever the others do.

They observe only: what they raise is logged and recorded with the run, and the step's result stays what it is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from zenml_mlops.hooks.events import StepEnd, step_end

log = logging.getLogger(__name__)

HOOK_FAILURES = "hook_failures"
"""Key of a run's metadata that lists the observers that failed, by step."""

Observer = Callable[[StepEnd], None]


def observe(observers: Iterable[Observer], error: BaseException | None) -> None:
    """Tell observers that the running step has ended.

    Args:
        error: Why the step failed; ``None`` if it succeeded.
    """
    end = step_end(error)
    failures = []
    for observer in observers:
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
