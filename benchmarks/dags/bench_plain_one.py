"""Contender: the same work as one plain Airflow task, without ZenML."""

from typing import Any

from airflow.sdk import DAG, task

from benchmarks.bench_dag import bench_arguments
from zenml_airflow.dags import load_settings


@task
def run() -> dict[str, Any]:
    """Load, validate, score, publish, summarize."""
    from benchmarks.plain import PlainRun

    day = PlainRun.of_task()
    found = day.load()
    checked = day.validate(found)
    return day.summarize(day.publish(found, checked, day.score(found, checked)))


with DAG("bench_plain_one", **bench_arguments(load_settings())):
    run()
