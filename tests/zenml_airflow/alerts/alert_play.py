"""Run a failing DAG in an Airflow of its own, first on a stack without an alerter, then on one with."""

import io
import json
import logging
import os
from datetime import UTC, datetime
from pathlib import Path

from zenml_mlops.environment.process import enter

settings = enter("local")

from airflow.dag_processing.dagbag import DagBag  # noqa: E402
from zenml.client import Client  # noqa: E402
from zenml.enums import StackComponentType  # noqa: E402

from zenml_mlops.policy.facts import ENVIRONMENT_LABEL  # noqa: E402

logged = io.StringIO()
logging.getLogger("zenml_mlops.hooks.alerting").addHandler(logging.StreamHandler(logged))
dag = DagBag(dag_folder=settings.dags_dir, bundle_name="dags").dags["failing"]
client = Client()
parts = {kind: found[0].id for kind, found in client.active_stack_model.components.items()}

dag.test(logical_date=datetime(2026, 1, 1, tzinfo=UTC))
without = logged.getvalue()
assert not Path(os.environ["ALERTS"]).exists()

client.create_flavor("file_alerter.FileAlerterFlavor", StackComponentType.ALERTER)
client.create_stack_component("file-alerter", "file", StackComponentType.ALERTER, {})
client.create_stack(
    "told", {**parts, StackComponentType.ALERTER: "file-alerter"}, labels={ENVIRONMENT_LABEL: "local"}
)
run = dag.test(logical_date=datetime(2026, 1, 2, tzinfo=UTC))
failed = [ti.task_id for ti in run.get_task_instances() if ti.state == "failed"]
print(json.dumps({"state": str(run.state), "run_id": run.run_id, "failed": failed, "logged": without}))
