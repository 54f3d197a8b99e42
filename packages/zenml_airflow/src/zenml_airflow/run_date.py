"""The day that a run of Airflow is for."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from zenml_airflow.context import RunContext

if TYPE_CHECKING:
    from airflow.sdk import Context

    from zenml_airflow.settings.project import ScheduleSettings, Settings

PARTITION_DATE = "partition_date"
"""Key under which the update of an asset carries the day of the run that updated it."""

DATE_PARAM = "date"
"""DAG run param that names the day of a run without a logical date."""


class RunDateError(ValueError):
    """The day that a run is for cannot be told."""


def context_from_airflow(context: Context, settings: Settings) -> RunContext:
    """Build the run context of an Airflow task.

    A run without a logical date (asset-triggered, or by hand) is for the day that its ``date`` param names; else
    for the newest of the days whose runs updated the assets that started it; else for the day on which it was due
    to run, in the environment's time zone.

    Raises:
        RunDateError: If the ``date`` param is not an ISO date.
    """
    dag_run = context["dag_run"]
    zone = ZoneInfo(settings.timezone)
    params = dict(context["params"])
    start, end = dag_run.data_interval_start, dag_run.data_interval_end
    logical = dag_run.logical_date
    updated: tuple[date, ...] = ()
    if logical is None:
        day = _requested_date(params)
        if day is None:
            updated = _updated_dates(dag_run.consumed_asset_events or ())
            day = updated[-1] if updated else dag_run.run_after.astimezone(zone).date()
        logical = datetime.combine(day, time.min, zone)
        start, end = logical, datetime.combine(day + timedelta(days=1), time.min, zone)
    return RunContext(
        logical_date=logical.astimezone(zone),
        data_interval_start=(start or logical).astimezone(zone),
        data_interval_end=(end or logical).astimezone(zone),
        dag_id=dag_run.dag_id,
        dag_run_id=dag_run.run_id,
        attempt=dag_run.clear_number or 0,
        attempt_started_at=dag_run.start_date or dag_run.run_after,
        try_number=context["ti"].try_number,
        params={key: value for key, value in params.items() if value is not None},
        environment=settings.environment,
        storage_root=settings.storage_root,
        updated_dates=updated,
    )


def due_days(schedule: ScheduleSettings, zone: ZoneInfo, now: datetime, count: int) -> list[date]:
    """The last days whose run was due, the oldest first: the run of a day is due when the day has ended.

    Args:
        schedule: The schedule; days before its start or after its end are no partitions.
        now: An aware time.
        count: How many days, at most.
    """
    last = now.astimezone(zone).date() - timedelta(days=1)
    last = min(last, schedule.end_date or last)
    first = max(schedule.start_date, last - timedelta(days=count - 1))
    return [first + timedelta(days=offset) for offset in range((last - first).days + 1)]


def _updated_dates(events: Iterable[Any]) -> tuple[date, ...]:
    """The days that the updates of assets carry, in order, each once; another producer's update carries none."""
    found = set()
    for event in events:
        with suppress(TypeError, ValueError):
            found.add(date.fromisoformat(str((event.extra or {}).get(PARTITION_DATE))))
    return tuple(sorted(found))


def _requested_date(params: dict[str, Any]) -> date | None:
    named = params.get(DATE_PARAM)
    if not named:
        return None
    try:
        return date.fromisoformat(str(named))
    except ValueError:
        raise RunDateError(f"Param {DATE_PARAM!r} must be a date such as 2026-01-05, found {named!r}.") from None
