"""What every DAG file says the same way: schedule, owner, pausing, retries, alerts."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import CronDataIntervalTimetable

from zenml_airflow.alerts import tell_of_failure
from zenml_airflow.settings import Settings, load_settings

__all__ = ["dag_arguments", "load_settings"]


def dag_arguments(settings: Settings, pipeline: str) -> dict[str, Any]:
    """Arguments of a DAG that runs a pipeline on the environment's schedule.

    The timetable gives each run a data interval, a whole day for a daily cron: a plain cron string makes the
    interval a point, and then the run of a day cannot tell which day's data it is for.

    Args:
        settings: Settings of the environment.
        pipeline: Name of the pipeline, which names its schedule.

    Raises:
        SettingsError: If the environment has no schedule for the pipeline.
    """
    schedule = settings.schedule(pipeline)
    zone = ZoneInfo(settings.timezone)
    end = schedule.end_date
    return {
        "schedule": CronDataIntervalTimetable(schedule.cron, timezone=settings.timezone),
        "start_date": datetime.combine(schedule.start_date, time.min, zone),
        "end_date": datetime.combine(end, time.max, zone) if end else None,
        "is_paused_upon_creation": settings.airflow.start_paused,
        "on_failure_callback": tell_of_failure,
        "default_args": {
            "owner": settings.airflow.owner,
            "retries": settings.airflow.retries,
            "retry_delay": timedelta(seconds=settings.airflow.retry_delay_seconds),
            "retry_exponential_backoff": 2.0,
        },
    }
