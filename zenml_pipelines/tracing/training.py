"""Whether a model knew an encounter when it was trained, and in which part of the data."""

from __future__ import annotations

from typing import Any

from zenml.models import PipelineRunResponse

from zenml_pipelines.data.schema import ENCOUNTER_ID

_PARTS = (("split_data", "train"), ("split_data", "test"), ("load_data", "encounters"))


def part_of(run: PipelineRunResponse, encounter_id: int, last_encounter_id: int | None) -> tuple[str, int] | None:
    """The part of a training run's data that an encounter was in, and its row there.

    Args:
        run: The training run.
        encounter_id: The encounter.
        last_encounter_id: The highest id that the run was given, if it is recorded; above it nothing is read.

    Returns:
        ``train``, ``test``, or ``encounters`` for one that was loaded and is in neither, with the row's number;
        ``None`` if it was not among the data.

    Raises:
        FileNotFoundError: If an artifact of the run is gone.
        CorruptArtifactError: If an artifact was changed.
    """
    if last_encounter_id is not None and encounter_id > last_encounter_id:
        return None
    for step, output in _PARTS:
        row = _row(run, step, output, encounter_id)
        if row is not None:
            return output, row
    return None


def _row(run: PipelineRunResponse, step: str, output: str, encounter_id: int) -> int | None:
    try:
        artifact: Any = run.steps[step].outputs[output][0]
    except KeyError:
        raise FileNotFoundError(f"the run has no output {output} of a step {step}") from None
    ids = artifact.load()[ENCOUNTER_ID].to_numpy()
    found = (ids == encounter_id).nonzero()[0]
    return int(found[0]) if len(found) else None
