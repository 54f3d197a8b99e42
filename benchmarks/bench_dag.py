"""What the DAGs of all contenders have in common. Airflow parses it: no heavy import at the top."""

from __future__ import annotations

from typing import Any

from benchmarks.contenders import ACTIVE_RUNS
from zenml_airflow.dags import dag_arguments
from zenml_airflow.settings.project import Settings


def bench_arguments(settings: Settings) -> dict[str, Any]:
    """Arguments of a contender's DAG: the schedule of the real one, no retries, four runs at once."""
    arguments = dag_arguments(settings, "batch_inference")
    arguments["default_args"] = {"owner": "bench", "retries": 0}
    return {**arguments, "catchup": False, "max_active_runs": ACTIVE_RUNS, "tags": ["benchmark"]}
