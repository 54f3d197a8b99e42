"""Contender: a task for each step, each in an interpreter of its own."""

from airflow.sdk import DAG

from benchmarks.bench_dag import bench_arguments
from zenml_airflow.dags import load_settings
from zenml_airflow.task_group import ZenMLTaskGroup

settings = load_settings()

with DAG("bench_subprocess", **bench_arguments(settings)):
    ZenMLTaskGroup("batch_inference", granularity="per_step", launcher="subprocess", settings=settings)
