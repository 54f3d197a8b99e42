"""Tell people of a failed DAG run: through functions of other packages, found by their entry points.

The bridge knows no channel. A package that has one names a function under the entry point group
``zenml_airflow.alerts``; it gets Airflow's callback context.
"""

from __future__ import annotations

import logging
from importlib.metadata import entry_points
from typing import Any

log = logging.getLogger(__name__)

GROUP = "zenml_airflow.alerts"


def tell_of_failure(context: Any) -> None:
    """Airflow's ``on_failure_callback`` of a DAG. One channel that fails does not keep the others from telling."""
    for entry in entry_points(group=GROUP):
        try:
            entry.load()(context)
        except Exception:
            log.exception("The alert %s failed.", entry.name)
