"""Whether a model knew a case when it was trained, and in which part of the data."""

from __future__ import annotations

from typing import Any

from zenml.models import PipelineRunResponse


def part_of(
    run: PipelineRunResponse, row_id: str, case_id: int, last_row_id: int | None
) -> tuple[str, int] | None:
    """The part of a training run's data that a case was in, and its row there.

    Args:
        last_row_id: The highest id that the run was given, if it is recorded; above it nothing is read.

    Returns:
        ``train``, ``test``, or ``rows`` for one that was loaded and is in neither, with the row's number;
        ``None`` if it was not among the data.

    Raises:
        FileNotFoundError: If an artifact of the run is gone.
        CorruptArtifactError: If an artifact was changed.
    """
    if last_row_id is not None and case_id > last_row_id:
        return None
    for step, output in (("split_data", "train"), ("split_data", "test"), ("load_data", "rows")):
        try:
            artifact: Any = run.steps[step].outputs[output][0]
        except KeyError:
            raise FileNotFoundError(f"the run has no output {output} of a step {step}") from None
        found = (artifact.load()[row_id].to_numpy() == case_id).nonzero()[0]
        if len(found):
            return output, int(found[0])
    return None
