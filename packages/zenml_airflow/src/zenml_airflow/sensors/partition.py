"""Sensors that wait without holding a worker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator
from airflow.triggers.base import BaseTrigger, TriggerEvent

from zenml_airflow.dags import current_settings, task_settings
from zenml_airflow.run_date import context_from_airflow
from zenml_airflow.sensors.triggers import stay_deferred

if TYPE_CHECKING:
    from airflow.sdk import Context

COMPLETION_MARKER = "_SUCCESS"
"""Name of the file that says a partition is complete."""


def marker_exists(url: str) -> bool:
    """Return whether a file exists at a path or fsspec URL."""
    import fsspec

    fs, path = fsspec.core.url_to_fs(url)
    # Another process writes the file: a cached listing would hide it for ever.
    fs.invalidate_cache()
    return bool(fs.exists(path))


class FileTrigger(BaseTrigger):
    """Fires when a file exists.

    Airflow's own file trigger reads local paths only; partitions may lie in an object store.
    """

    def __init__(self, url: str, poke_seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.url = url
        self.poke_seconds = poke_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what recreates the trigger in the triggerer."""
        return "zenml_airflow.sensors.partition.FileTrigger", {"url": self.url, "poke_seconds": self.poke_seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look for the file until it is there; the look-up runs in a thread, off the event loop."""
        began = time.monotonic()
        while not await asyncio.to_thread(marker_exists, self.url):
            await asyncio.sleep(self.poke_seconds)
        await stay_deferred(began)
        yield TriggerEvent({"status": "found"})  # type: ignore[no-untyped-call]


class PartitionSensor(BaseSensorOperator):
    """Waits for the completion marker of the run's partition, deferred to the triggerer.

    Args:
        environment: Name of the environment whose landing zone is watched.
    """

    ui_color = "#d9e8f5"

    def __init__(self, *, environment: str, **kwargs: Any) -> None:
        airflow = current_settings(environment).airflow
        kwargs.setdefault("timeout", airflow.sensor_timeout_seconds)
        kwargs.setdefault("poke_interval", airflow.sensor_poke_seconds)
        super().__init__(**kwargs)
        self.environment = environment

    def execute(self, context: Context) -> None:
        """Succeed at once if the partition is complete, else wait in the triggerer."""
        settings = task_settings(self, self.environment)
        day = context_from_airflow(context, settings).partition_date
        url = settings.resolve(f"{settings.storage.landing}/date={day.isoformat()}/{COMPLETION_MARKER}")
        if marker_exists(url):
            self.log.info("Partition %s is complete.", day)
            return
        self.log.info("Partition %s has no %s yet: waiting in the triggerer.", day, COMPLETION_MARKER)
        self.defer(
            trigger=FileTrigger(url=url, poke_seconds=self.poke_interval),
            method_name="resume",
            timeout=timedelta(seconds=self.timeout),
        )

    def resume(self, context: Context, event: dict[str, Any]) -> None:  # noqa: ARG002 - Airflow's signature
        """Finish once the triggerer has found the marker."""
        self.log.info("The partition is complete.")
