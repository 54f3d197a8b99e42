"""The probe on a ZenML server, which a connection names; the suite deploys it there when it comes to that."""

from datetime import UTC, datetime

from airflow.sdk import DAG

from zenml_airflow.dags import load_settings
from zenml_airflow.task_group import ZenMLTaskGroup

settings = load_settings()
manifest = settings.project_root / "remote_manifests" / "probe.json"

if manifest.is_file():
    for launcher in ("in_process", "subprocess"):
        with DAG(
            dag_id=f"planted_{launcher}",
            schedule=None,
            start_date=datetime(2026, 1, 1, tzinfo=UTC),
            is_paused_upon_creation=False,
        ) as dag:
            ZenMLTaskGroup(
                "probe",
                manifest=manifest,
                connection="zenml_planted",
                launcher=launcher,
                granularity="pipeline",
                settings=settings,
            )
        globals()[dag.dag_id] = dag
