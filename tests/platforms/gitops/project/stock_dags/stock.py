"""The same under Airflow's own Git bundle: what is scheduled, and a run that is in flight."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG

from zenml_airflow.dags import dag_settings

START = datetime(2026, 1, 1, tzinfo=UTC)
settings = dag_settings(__file__)


def wait():
    """Wait until the suite lets the run go on."""
    while not (Path(settings.storage_root) / "stock.go").exists():
        time.sleep(0.1)


with DAG("stock_beat", schedule=timedelta(seconds=3), start_date=START, catchup=False):
    EmptyOperator(task_id="nothing")

with DAG("stock_flight", schedule=None, start_date=START):
    PythonOperator(task_id="wait", python_callable=wait) >> EmptyOperator(task_id="after")
