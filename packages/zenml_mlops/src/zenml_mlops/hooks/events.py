"""What observers receive of a step that has ended."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from zenml.models import ModelVersionResponse, PipelineRunResponse

STATSD_ENV: Final = "MLOPS_STATSD"
"""``HOST:PORT`` of a StatsD server; nothing is sent if it is empty."""

METRICS_DIR_ENV: Final = "MLOPS_METRICS_DIR"
"""Folder of text files that Prometheus's node exporter reads; nothing is written if it is empty."""

_RUSAGE_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class StepEnd:
    """The end of a step.

    Attributes:
        error: What it raised; ``None`` if it succeeded.
        seconds: How long the step function and loading its inputs took.
        rows: Rows of its largest input, where the inputs' metadata tell. Its outputs are stored after the hooks.
        peak_bytes: Largest resident memory of the process so far, which earlier steps of it share.
    """

    pipeline: str
    step: str
    run: PipelineRunResponse
    version: ModelVersionResponse | None
    error: BaseException | None
    seconds: float
    rows: int | None
    peak_bytes: int


def step_end(error: BaseException | None) -> StepEnd:
    """Describe the end of the step that this process runs.

    Raises:
        RuntimeError: Outside of a step.
    """
    from zenml import get_step_context

    context = get_step_context()
    started = context.step_run.start_time
    now = datetime.now(UTC)
    if started is not None and started.tzinfo is None:
        started = started.replace(tzinfo=UTC)
    inputs = [artifact for listed in context.inputs.values() for artifact in listed]
    rows = [found for artifact in inputs if (found := _rows(artifact.run_metadata)) is not None]
    try:
        version = context.step_run.model_version
    except RuntimeError:
        version = None
    return StepEnd(
        pipeline=context.pipeline.name,
        step=context.step_name,
        run=context.pipeline_run,
        version=version,
        error=error,
        seconds=(now - started).total_seconds() if started is not None else 0.0,
        rows=max(rows, default=None),
        peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RUSAGE_UNIT,
    )


def _rows(metadata: dict[str, Any]) -> int | None:
    """Rows of an artifact, as this project's materializers or ZenML's record them."""
    if isinstance(metadata.get("rows"), int):
        return int(metadata["rows"])
    shape = metadata.get("shape")
    return int(shape[0]) if isinstance(shape, tuple | list) and shape else None
