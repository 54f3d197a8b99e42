"""What every DAG file says the same way: schedule, owner, pausing, retries, alerts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from airflow.sdk import Asset, AssetOrTimeSchedule, CronDataIntervalTimetable
from airflow.sdk.definitions._internal.contextmanager import DagContext

from zenml_airflow.alerts import notify_of_failure
from zenml_airflow.settings.project import Settings, load_settings

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

__all__ = ["dag_arguments", "dag_settings", "load_settings"]


def dag_settings(dag_file: str | Path) -> Settings:
    """Settings of the environment that the process was started for, of the version that a DAG file is of.

    In a Git bundle a DAG run keeps the files that it started with, configuration and manifests included: they are
    those of the checkout that the file lies in, unless ``MLOPS_PROJECT_ROOT`` names another one.

    Raises:
        SettingsError: If the configuration is missing or wrong.
    """
    return load_settings(dag_file=dag_file)


def task_settings(task: BaseOperator, environment: str) -> Settings:
    """Settings of an environment, of the version that a task's DAG file is of.

    Raises:
        SettingsError: If the configuration is missing or wrong.
    """
    dag = task.get_dag()
    return load_settings(environment, dag_file=dag.fileloc if dag else None)


def current_settings(environment: str | None = None) -> Settings:
    """Settings of an environment, of the version of the DAG whose ``with`` block is being read.

    Raises:
        SettingsError: If the configuration is missing or wrong.
    """
    dag = DagContext.get_current()
    return load_settings(environment, dag_file=dag.fileloc if dag else None)


def dag_arguments(
    settings: Settings, pipeline: str, *, assets: Sequence[Asset] = (), paused: bool | None = None
) -> dict[str, Any]:
    """Arguments of a DAG that runs a pipeline on the environment's schedule.

    The timetable gives each run a data interval, a whole day for a daily cron: a plain cron string makes the
    interval a point, and then the run of a day cannot tell which day's data it is for.

    Args:
        assets: Assets whose update starts a run too; the environment need not have a schedule then.
        paused: Whether it is paused when Airflow sees it for the first time; the environment's choice by default.

    Raises:
        SettingsError: If the environment has no schedule for the pipeline, and no asset starts it.
    """
    return {
        **_schedule(settings, pipeline, list(assets)),
        "is_paused_upon_creation": settings.airflow.start_paused if paused is None else paused,
        "on_failure_callback": notify_of_failure,
        "default_args": {
            "owner": settings.airflow.owner,
            "retries": settings.airflow.retries,
            "retry_delay": timedelta(seconds=settings.airflow.retry_delay_seconds),
            "retry_exponential_backoff": 2.0,
        },
    }


def _schedule(settings: Settings, pipeline: str, assets: list[Asset]) -> dict[str, Any]:
    if assets and pipeline not in settings.airflow.schedules:
        return {"schedule": assets}
    schedule = settings.schedule(pipeline)
    zone = ZoneInfo(settings.timezone)
    end = schedule.end_date
    cron = CronDataIntervalTimetable(schedule.cron, timezone=settings.timezone)
    return {
        "schedule": AssetOrTimeSchedule(timetable=cron, assets=assets) if assets else cron,
        "start_date": datetime.combine(schedule.start_date, time.min, zone),
        "end_date": datetime.combine(end, time.max, zone) if end else None,
    }
