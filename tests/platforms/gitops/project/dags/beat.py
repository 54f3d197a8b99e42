"""A DAG that runs every few seconds: it shows whether its file's DAGs are scheduled."""

from datetime import UTC, datetime, timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("beat", schedule=timedelta(seconds=3), start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False) as dag:
    EmptyOperator(task_id="nothing")
