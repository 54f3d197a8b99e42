"""The probe's pipeline, then a task that says which DAG file, manifest and configuration it has itself."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Param

from zenml_airflow.dags import dag_settings
from zenml_airflow.manifest.manifest import manifest_path, read_manifest
from zenml_airflow.task_group import ZenMLTaskGroup

VERSION = 1
settings = dag_settings(__file__)


def tell(dag_run):
    """Write down what this process reads, long after the run was started."""
    manifest = read_manifest(manifest_path(settings.manifests_dir, "probe"), "probe")
    found = {"dag": VERSION, "snapshot": manifest.snapshot_name, "owner": settings.airflow.owner}
    (Path(settings.storage_root) / "journal" / dag_run.run_id / "tell.json").write_text(json.dumps(found))


with DAG(
    dag_id="probe",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    dagrun_timeout=timedelta(minutes=10),
    params={"go": Param(False, type="boolean"), "fail": Param(False, type="boolean")},
) as dag:
    ZenMLTaskGroup("probe") >> PythonOperator(task_id="tell", python_callable=tell)
