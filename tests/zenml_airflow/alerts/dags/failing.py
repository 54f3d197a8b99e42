"""Three tasks that fail, with the callback that every DAG of the bridge has."""

from datetime import UTC, datetime

from airflow.sdk import DAG, task

from zenml_airflow.alerts import notify_of_failure

with DAG(
    "failing", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), on_failure_callback=notify_of_failure
) as dag:
    for name in ("one", "two", "three"):

        @task(task_id=name)
        def fail():
            raise ValueError("broken on purpose")

        fail()
