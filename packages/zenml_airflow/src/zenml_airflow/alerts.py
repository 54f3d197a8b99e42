"""Tell people of a failed DAG run, or of another event: through functions found by their entry points.

The bridge knows no channel. A package that has one names functions under the entry point groups
``zenml_airflow.alerts``, which gets Airflow's callback context, and ``zenml_airflow.notices``, which gets a text.
"""

from __future__ import annotations

import logging
from importlib.metadata import entry_points
from typing import Any

from zenml_airflow.contracts.extensions import ALERTS, NOTICES

log = logging.getLogger(__name__)


def tell_of_failure(context: Any) -> None:
    """Airflow's ``on_failure_callback`` of a DAG. One channel that fails does not keep the others from telling."""
    _tell(ALERTS, context)


def tell(text: str) -> None:
    """Tell people something, from within a task. A channel that fails changes nothing for the task."""
    _tell(NOTICES, text)


def _tell(group: str, what: Any) -> None:
    for entry in entry_points(group=group):
        try:
            entry.load()(what)
        except Exception:
            log.exception("The alert %s failed.", entry.name)
