"""Import the heavy third-party libraries once, in processes that fork tasks.

A task that runs ZenML in its own process otherwise spends seconds on imports that every task repeats. The
scheduler of the LocalExecutor forks its tasks, so what it has imported, they have. The project's own packages
are never imported here: they must come from the version that a run was started with.
"""

from __future__ import annotations

import importlib
import os
import sys

PRELOAD_ENV = "ZENML_AIRFLOW_PRELOAD"
"""Set to ``1`` for processes that may preload."""

FORKING_COMMANDS = frozenset({"scheduler"})
"""Airflow commands whose processes fork tasks."""

MODULES = (
    "zenml.client",
    "zenml.zen_stores.sql_zen_store",
    "zenml.orchestrators.step_launcher",
    "zenml.orchestrators.step_runner",
    "zenml.integrations.registry",
    "zenml.integrations.airflow.orchestrators.airflow_orchestrator",
    "zenml.integrations.mlflow.experiment_trackers.mlflow_experiment_tracker",
    "zenml.integrations.pandas.materializers.pandas_materializer",
    "zenml.integrations.sklearn.materializers.sklearn_materializer",
    "pandas",
    "pyarrow.parquet",
    "pyarrow.dataset",
    "sklearn.pipeline",
    "sklearn.compose",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "skops.io",
)


def preload_if_forking(arguments: list[str] | None = None) -> bool:
    """Import :data:`MODULES` if this is an Airflow process that forks tasks and preloading is on.

    Args:
        arguments: The process's command line; ``sys.argv`` by default.

    Returns:
        Whether the modules were imported.
    """
    argv = sys.argv if arguments is None else arguments
    command = argv[1] if len(argv) > 1 else ""
    if os.environ.get(PRELOAD_ENV) != "1" or command not in FORKING_COMMANDS:
        return False
    for name in MODULES:
        importlib.import_module(name)
    return True
