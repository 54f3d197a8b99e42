import os
import runpy
from pathlib import Path

import pytest
from labs import stores
from labs.manifests import manifest

from zenml_airflow.manifest.manifest import write_manifest
from zenml_airflow.settings.project import load_settings


@pytest.fixture
def settings(request, tmp_path, monkeypatch):
    """Settings of a state folder that holds the manifest of the module's `STEPS`."""
    monkeypatch.setenv("MLOPS_STATE_DIR", str(tmp_path / "state"))
    made = load_settings("local")
    steps, digest = request.module.STEPS, made.deployed_digest("training")
    write_manifest(manifest(steps=steps, config_digest=digest), made.manifests_dir)
    return made


@pytest.fixture(scope="session")
def airflow_database():
    """A migrated Airflow database in the session's folder, for runs of `DAG.test`."""
    stores.give_airflow(os.environ["AIRFLOW_HOME"])


DAG_FILE = """
from datetime import UTC, datetime
from airflow.sdk import DAG
from zenml_airflow.task_group import ZenMLTaskGroup

with DAG({dag_id!r}, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
    ZenMLTaskGroup("training", launcher={launcher!r}, launcher_options={options!r}, **{kwargs!r})
for task in dag.tasks:
    task.retries = 0
    task.trigger_rule = "all_done"
"""


@pytest.fixture
def make_dag():
    """Write a DAG file into Airflow's folder and load it."""
    folder = Path(os.environ["AIRFLOW_HOME"]) / "dags"

    def make(dag_id, launcher, options, **kwargs):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{dag_id}.py"
        path.write_text(DAG_FILE.format(dag_id=dag_id, launcher=launcher, options=options, kwargs=kwargs))
        return runpy.run_path(str(path))["dag"]

    yield make
    for path in folder.glob("*.py"):
        path.unlink()
