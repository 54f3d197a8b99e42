"""Notify people of a failed DAG run, or of another event: through functions found by their entry points.

The bridge knows no channel. A package that has one names functions under the entry point groups
``zenml_airflow.alerts``, which gets Airflow's callback context, and ``zenml_airflow.notifications``, which gets a
text.
"""

from __future__ import annotations

import logging
from importlib.metadata import entry_points
from typing import Any

from zenml_airflow.contracts.extensions import ALERTS, NOTIFICATIONS

log = logging.getLogger(__name__)


def notify_of_failure(context: Any) -> None:
    """Airflow's ``on_failure_callback`` of a DAG. A channel that fails does not stop the others."""
    _notify(ALERTS, context)


def notify(text: str) -> None:
    """Send a notification from within a task. A channel that fails changes nothing for the task."""
    _notify(NOTIFICATIONS, text)


def _notify(group: str, what: Any) -> None:
    for entry in entry_points(group=group):
        try:
            entry.load()(what)
        except Exception:
            log.exception("The alert %s failed.", entry.name)
