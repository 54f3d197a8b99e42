"""Contender: every step in one task, in an interpreter of its own."""

from airflow.sdk import DAG

from benchmarks.bench_dag import bench_arguments
from zenml_airflow.dags import load_settings
from zenml_airflow.task_group import ZenMLTaskGroup

settings = load_settings()

with DAG("bench_subprocess_pipeline", **bench_arguments(settings)):
    ZenMLTaskGroup("batch_inference", granularity="pipeline", launcher="subprocess", settings=settings)
