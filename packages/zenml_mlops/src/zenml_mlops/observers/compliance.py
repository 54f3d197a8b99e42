"""An entry in the audit log for each step that ends."""

from __future__ import annotations

from zenml_mlops.audit import Outcome, airflow_actor, record
from zenml_mlops.hooks.events import StepEnd


def record_step(end: StepEnd) -> None:
    """Record that a step ended, and what it raised. The decisions themselves are recorded where they are made.

    Raises:
        AuditError: If the log cannot be written; the caller makes it visible, and the step's result stays.
    """
    record(
        "step",
        f"step:{end.pipeline}/{end.step}",
        Outcome.DONE if end.error is None else Outcome.FAILED,
        actor=airflow_actor(end.run.run_metadata),
        reason=None if end.error is None else type(end.error).__name__,
        links={
            "zenml_run": str(end.run.id),
            "model_version": None if end.version is None else str(end.version.id),
        },
    )
