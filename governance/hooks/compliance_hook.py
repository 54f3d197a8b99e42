"""For the auditors: an entry in the audit log for each step that ends."""

from __future__ import annotations

from zenml_mlops.hooks.events import StepEnd
from zenml_mlops.observers.compliance import record_step


def compliance_hook(end: StepEnd) -> None:
    """Record that a step ended, and what it raised. The decisions themselves are recorded where they are made."""
    record_step(end)
