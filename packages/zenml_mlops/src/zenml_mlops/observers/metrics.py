"""Duration, rows and memory of each step, to StatsD and to an OpenMetrics text file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from zenml_mlops.hooks.events import METRICS_DIR_ENV, STATSD_ENV, StepEnd

PREFIX: Final = "zenml"


def write_metrics(end: StepEnd) -> None:
    """Send what is known of a step to where the environment says.

    StatsD gets ``zenml.step.PIPELINE.STEP.duration`` (timer, milliseconds), ``.rows`` and ``.peak_bytes`` (gauges)
    and ``.success`` or ``.failure`` (counters). The text file, one a step, has ``zenml_step_duration_seconds``,
    ``zenml_step_rows``, ``zenml_step_peak_bytes``, ``zenml_step_success`` and ``zenml_step_end_time_seconds``.

    Raises:
        ValueError: If the address of the StatsD server is no ``HOST:PORT``.
        OSError: If the folder cannot be written.
    """
    if address := os.environ.get(STATSD_ENV):
        _to_statsd(end, address)
    if folder := os.environ.get(METRICS_DIR_ENV):
        _to_file(end, Path(folder))


def _to_statsd(end: StepEnd, address: str) -> None:
    from statsd import StatsClient

    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"{STATSD_ENV} must be HOST:PORT, such as 127.0.0.1:8125, found {address!r}.")
    client = StatsClient(host, int(port), prefix=f"{PREFIX}.step.{end.pipeline}.{end.step}")
    try:
        with client.pipeline() as batch:
            batch.timing("duration", end.seconds * 1000)
            if end.rows is not None:
                batch.gauge("rows", end.rows)
            batch.gauge("peak_bytes", end.peak_bytes)
            batch.incr("success" if end.error is None else "failure")
    finally:
        client.close()


def _to_file(end: StepEnd, folder: Path) -> None:
    from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

    registry = CollectorRegistry()
    labels = {"pipeline": end.pipeline, "step": end.step}
    values = {
        "duration_seconds": ("How long the step took.", end.seconds),
        "rows": ("Rows of its largest input.", end.rows),
        "peak_bytes": ("Largest resident memory of its process.", end.peak_bytes),
        "success": ("1 if it succeeded, 0 if it failed.", end.error is None),
    }
    for name, (about, value) in values.items():
        if value is not None:
            gauge = Gauge(f"{PREFIX}_step_{name}", about, tuple(labels), registry=registry)
            gauge.labels(**labels).set(float(value))
    ended = Gauge(f"{PREFIX}_step_end_time_seconds", "When it ended.", tuple(labels), registry=registry)
    ended.labels(**labels).set_to_current_time()
    folder.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(folder / f"{PREFIX}_{end.pipeline}_{end.step}.prom"), registry)
