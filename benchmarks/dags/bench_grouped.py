"""Contender: tasks cut only where a gate, an image or resources demand it."""

from airflow.sdk import DAG

from benchmarks.bench_dag import bench_arguments
from zenml_airflow.dags import load_settings
from zenml_airflow.task_group import ZenMLTaskGroup

settings = load_settings()

with DAG("bench_grouped", **bench_arguments(settings)):
    ZenMLTaskGroup("batch_inference", granularity="grouped", launcher="in_process", settings=settings)
