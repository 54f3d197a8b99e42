"""The entry point groups under which another package extends the bridge."""

from __future__ import annotations

from typing import Final

ALERTS: Final = "zenml_airflow.alerts"
"""Functions that get Airflow's callback context of a failed DAG run."""
NOTIFICATIONS: Final = "zenml_airflow.notifications"
"""Functions that get a text."""
PROMOTION: Final = "zenml_airflow.promotion"
"""The module that promotes, see ``zenml_airflow.promotion.service``."""
RUN_GUARDS: Final = "zenml_airflow.run_guards"
"""Functions that are asked before a task runs steps, see ``zenml_airflow.operators.guards``."""
PRELOAD: Final = "zenml_airflow.preload"
"""Modules that steps of every project use, imported once in processes that fork tasks."""
PLATFORM: Final = "zenml_airflow.platform"
"""Top-level modules that belong to the platform: installed where steps run, no part of what travels with them."""
