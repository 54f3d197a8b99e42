"""The probe under every launcher and granularity that runs without a container engine."""

import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, CronDataIntervalTimetable

from zenml_airflow.dags import load_settings
from zenml_airflow.task_group import ZenMLTaskGroup

settings = load_settings()


def die_before_reporting(context, result=None):
    """Kill the task once its steps have succeeded, if the suite asks for it: ZenML knows, Airflow does not."""
    day = context["dag_run"].logical_date.date().isoformat()
    order = Path(settings.storage_root) / context["dag"].dag_id / day / f"die-{context['ti'].task_id}"
    if order.exists():
        order.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


for launcher in ("in_process", "subprocess"):
    for granularity in ("per_step", "grouped", "pipeline"):
        with DAG(
            dag_id=f"probe_{launcher}_{granularity}",
            # One that the schedule starts is enough for what the schedule does.
            schedule=(
                CronDataIntervalTimetable("0 0 * * *", timezone="UTC")
                if (launcher, granularity) == ("in_process", "pipeline")
                else None
            ),
            start_date=datetime(2026, 1, 1, tzinfo=UTC),
            catchup=False,
            max_active_runs=8,
            dagrun_timeout=timedelta(minutes=10),
            default_args={"post_execute": die_before_reporting},
        ) as dag:
            ZenMLTaskGroup("probe", launcher=launcher, granularity=granularity, settings=settings)
        globals()[dag.dag_id] = dag
