"""The task that closes ZenML runs whose Airflow run has ended, for a maintenance DAG."""

from __future__ import annotations

import os
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from zenml_airflow.dags import task_settings
from zenml_airflow.operators.processes import server_environment

if TYPE_CHECKING:
    from airflow.sdk import Context


class ZenMLReconcileOperator(BaseOperator):
    """Closes ZenML runs that are still open although their Airflow run has ended.

    A task whose process was killed outright leaves its ZenML run open; see ``mlops reconcile``.
    """

    ui_color = "#e6dcf7"

    def __init__(self, *, environment_name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.environment_name = environment_name

    def execute(self, context: Context) -> list[dict[str, str]]:
        """Close the runs and return them; each is a line of the log."""
        from airflow.sdk.exceptions import AirflowRuntimeError

        from zenml_airflow.runtime.reconcile import AirflowState, reconcile

        ti = context["ti"]
        settings = task_settings(self, self.environment_name)
        os.environ.update(server_environment(settings.airflow.connection, settings.state_dir))

        def state_of(dag_id: str, run_id: str) -> AirflowState:
            try:
                return AirflowState.of(ti.get_dagrun_state(dag_id, run_id))
            except AirflowRuntimeError as error:
                if (error.error.detail or {}).get("status_code") != HTTPStatus.NOT_FOUND:
                    raise
                return AirflowState.GONE

        closed = []
        for run in reconcile(state_of):
            self.log.info("%s: %s -> %s (%s)", run.name, run.was, run.now, run.reason)
            closed.append(run.model_dump())
        self.log.info("Closed %d runs.", len(closed))
        return closed
