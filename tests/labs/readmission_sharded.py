"""Batch inference whose scoring is cut into shards, beside the DAG of the product."""

from airflow.sdk import DAG

from zenml_airflow.dags import dag_arguments, load_settings
from zenml_airflow.task_group import ZenMLTaskGroup

settings = load_settings()

with DAG(
    dag_id="readmission_sharded",
    catchup=False,
    **{**dag_arguments(settings, "batch_inference"), "schedule": None},
) as dag:
    ZenMLTaskGroup("batch_inference", sharded=True, settings=settings)
