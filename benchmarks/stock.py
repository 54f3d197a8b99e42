"""The stock ZenML Airflow orchestrator, as an operator: every step in a fresh interpreter.

The stock orchestrator writes a DAG with one Docker task a step; the container then starts ZenML's entrypoint.
Here the entrypoint starts on the worker's machine, without a container, which flatters the stock side: pulling
and starting containers would come on top.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from benchmarks.facts import Facts
from zenml_airflow.context import CONTEXT_ENV
from zenml_airflow.run_date import context_from_airflow
from zenml_airflow.settings.project import load_settings

if TYPE_CHECKING:
    from airflow.sdk import Context

ENTRYPOINT = "benchmarks.stock_entrypoint.HostStepEntrypoint"


class StockStepOperator(BaseOperator):
    """Runs one step as the stock orchestrator's task does.

    Args:
        step_name: Invocation id of the step.
    """

    def __init__(self, *, step_name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step_name = step_name

    def execute(self, context: Context) -> None:
        """Start ZenML's step entrypoint and pass its output on to the task's log.

        Raises:
            RuntimeError: If it fails.
        """
        settings = load_settings()
        facts = Facts.read(settings.state_dir)
        command = [
            *(sys.executable, "-m", "zenml.entrypoints.entrypoint"),
            *("--entrypoint_config_source", ENTRYPOINT),
            *("--snapshot_id", facts.stock_snapshot, "--step_name", self.step_name),
        ]
        run_context = context_from_airflow(context, settings)
        environment = {
            **os.environ,
            # The original gives the Airflow run id alone, so one day could be measured only once a ZenML store.
            "ZENML_AIRFLOW_RUN_ID": run_context.orchestrator_run_id,
            "ZENML_ACTIVE_STACK_ID": facts.stock_stack,
            CONTEXT_ENV: run_context.model_dump_json(),
        }
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as child:
            for line in child.stdout or ():
                self.log.info("%s", line.rstrip())
        if child.returncode:
            raise RuntimeError(f"Step {self.step_name!r} ended with exit code {child.returncode}: see its log.")
