"""The run context: which date, which run, which environment a step works for.

A step asks :func:`get_run_context` and gets the same frozen value whether Airflow, a subprocess, a container
or the command line started it. This module imports neither Airflow nor ZenML, so it loads in an Airflow image
without the ML stack and in a step image without Airflow.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, Field

from zenml_airflow.contracts.frozen import Deferred

CONTEXT_ENV = "ZENML_AIRFLOW_RUN_CONTEXT"
"""Environment variable that carries the context, as JSON, into another process."""

SHARD_COUNTS = "shards"
"""Metadata of a ZenML run: by step, in how many shards it can be worked on; a step upstream of it says so."""

CLI_DAG_ID = "cli"
"""The ``dag_id`` of a run that the command line started without Airflow."""


def resolve_location(root: str, location: str) -> str:
    """Resolve a storage location: URLs and absolute paths stay, the rest is below ``root``."""
    if "://" in location or os.path.isabs(location):  # noqa: PTH117 - a URL is not a Path
        return location
    return f"{root.rstrip('/')}/{location}"


class NoRunContextError(RuntimeError):
    """A step asked for the run context outside of any run."""


class RunContext(Deferred):
    """What a step may know about the run it belongs to.

    The datetimes are aware and stand in the time zone of the DAG, so that ``logical_date.date()`` is the
    calendar day that the operator sees, on days with a daylight saving change too.

    Attributes:
        logical_date: The date the run is for; never "now".
        data_interval_start: Start of the run's data interval, inclusive.
        data_interval_end: End of the run's data interval, exclusive.
        dag_id: The Airflow DAG, or ``"cli"``.
        dag_run_id: The Airflow DAG run id; unique within ``dag_id`` only.
        attempt: 0 for the first run, one more each time the DAG run is cleared.
        try_number: The task's try, from 1.
        storage_root: Path or fsspec URL that relative storage locations resolve against.
        updated_dates: Of a run that was started by updates of assets, the days of the runs that updated them, in
            order: Airflow starts one run for all updates that have come together.
    """

    logical_date: AwareDatetime
    data_interval_start: AwareDatetime
    data_interval_end: AwareDatetime
    dag_id: str = Field(min_length=1)
    dag_run_id: str = Field(min_length=1)
    attempt: int = Field(default=0, ge=0)
    attempt_started_at: AwareDatetime
    try_number: int = Field(default=1, ge=1)
    params: dict[str, Any] = Field(default_factory=dict)
    environment: str = Field(min_length=1)
    storage_root: str = Field(min_length=1)
    updated_dates: tuple[date, ...] = ()

    @property
    def partition_dates(self) -> tuple[date, ...]:
        """The calendar days that this run is about: its own, or those whose updates it was started by."""
        return self.updated_dates or (self.partition_date,)

    @property
    def partition_date(self) -> date:
        """The calendar day whose partition this run reads and writes."""
        return self.logical_date.date()

    @property
    def orchestrator_run_id(self) -> str:
        """The identity of the ZenML run: one per DAG, DAG run and attempt.

        The DAG id is part of it because two DAGs on one schedule share their run ids; the start, because a DAG
        run that was deleted and made again has the same id and counts its attempts from 0 again.
        """
        started = self.attempt_started_at.astimezone(UTC).strftime("%Y%m%dT%H%M%S%f")
        return f"{self.dag_run_key}{self.attempt}.{started}"

    @property
    def dag_run_key(self) -> str:
        """What the identities of all attempts of the DAG run begin with."""
        return f"{self.dag_id}/{self.dag_run_id}/"

    def resolve(self, location: str) -> str:
        """Resolve a storage location: URLs and absolute paths stay, the rest is below ``storage_root``."""
        return resolve_location(self.storage_root, location)


_current: RunContext | None = None


def get_run_context() -> RunContext:
    """Return the context of the run that this process works for.

    Raises:
        NoRunContextError: If the process does not run a step.
    """
    if _current is not None:
        return _current
    if payload := os.environ.get(CONTEXT_ENV):
        return RunContext.model_validate_json(payload)
    raise NoRunContextError(
        "No run context: this code asks which date it runs for, but neither Airflow nor "
        "`mlops run … --date` started it. Wrap a direct call in `run_context(...)`."
    )


@contextmanager
def run_context(context: RunContext) -> Iterator[RunContext]:
    """Make ``context`` the answer of :func:`get_run_context` in this process.

    A module global and not a ``ContextVar``: ZenML may run a step in a thread of its own, and a new thread
    starts with empty context variables.
    """
    global _current
    previous, _current = _current, context
    try:
        yield context
    finally:
        _current = previous


def cli_context(
    day: date, *, environment: str, storage_root: str, timezone: str = "UTC", params: dict[str, Any] | None = None
) -> RunContext:
    """The context of a run that the command line starts for one calendar day.

    Args:
        storage_root: Path or fsspec URL that relative storage locations resolve against.
        timezone: IANA name of the zone in which ``day`` is meant.
    """
    zone = ZoneInfo(timezone)
    start = datetime.combine(day, time.min, zone)
    end = datetime.combine(day + timedelta(days=1), time.min, zone)
    now = datetime.now(zone)
    return RunContext(
        logical_date=start,
        data_interval_start=start,
        data_interval_end=end,
        dag_id=CLI_DAG_ID,
        dag_run_id=f"cli__{day.isoformat()}__{now.strftime('%Y%m%dT%H%M%S%f')}",
        attempt_started_at=now,
        params=params or {},
        environment=environment,
        storage_root=storage_root,
    )
