"""Contender: the same work as five plain Airflow tasks, without ZenML."""

from typing import Any

from airflow.sdk import DAG, task

from benchmarks.bench_dag import bench_arguments
from zenml_airflow.dags import load_settings


@task
def load_partition() -> dict[str, Any]:
    """Find the day's partition."""
    from benchmarks.plain import PlainRun

    return PlainRun.of_task().load()


@task
def validate_partition(partition: dict[str, Any]) -> dict[str, Any]:
    """Put bad rows into quarantine."""
    from benchmarks.plain import PlainRun

    return PlainRun.of_task().validate(partition)


@task
def score_partition(partition: dict[str, Any], checked: dict[str, Any]) -> dict[str, Any]:
    """Score the good rows."""
    from benchmarks.plain import PlainRun

    return PlainRun.of_task().score(partition, checked)


@task
def publish_predictions(partition: dict[str, Any], checked: dict[str, Any], scored: dict[str, Any]) -> str:
    """Make the run's files the partition of the day."""
    from benchmarks.plain import PlainRun

    return PlainRun.of_task().publish(partition, checked, scored)


@task
def summarize(manifest: str) -> dict[str, Any]:
    """Say what the day came to."""
    from benchmarks.plain import PlainRun

    return PlainRun.of_task().summarize(manifest)


with DAG("bench_plain", **bench_arguments(load_settings())):
    found = load_partition()
    checked = validate_partition(found)
    scored = score_partition(found, checked)
    summarize(publish_predictions(found, checked, scored))
