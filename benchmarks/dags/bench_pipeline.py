"""Contender: every step in one task, in the worker's own process."""

from airflow.sdk import DAG

from benchmarks.bench_dag import bench_arguments
from zenml_airflow.dags import load_settings
from zenml_airflow.task_group import ZenMLTaskGroup

settings = load_settings()

with DAG("bench_pipeline", **bench_arguments(settings)):
    ZenMLTaskGroup("batch_inference", granularity="pipeline", launcher="in_process", settings=settings)
