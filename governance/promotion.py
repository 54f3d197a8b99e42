"""Promotion: which version may enter a stage, and what really changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from zenml.client import Client
from zenml.enums import ArtifactType, ExecutionStatus, ModelStages
from zenml.models import ArtifactVersionResponse, ModelVersionResponse, PipelineRunResponse

from governance.steps.gates import GATES_METADATA

_PAGE = 50


class PromotionRefusedError(RuntimeError):
    """A version may not enter the stage. The message says why and what to do."""


class PromotionResult(BaseModel):
    """What a promotion changed.

    Attributes:
        model_name: Name of the model.
        version: Number of the version that is in the stage now.
        stage: The stage.
        changed: Whether anything was changed; ``False`` if the version was there already.
        archived_version: Number of the version that left the stage, if one did.
        training_run_id: The run that produced the version.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model_name: str
    version: int
    stage: str
    changed: bool
    archived_version: int | None
    training_run_id: UUID

    def __str__(self) -> str:
        if not self.changed:
            return f"{self.model_name} version {self.version} is in {self.stage} already; nothing changed."
        archived = "" if self.archived_version is None else f"; version {self.archived_version} is archived"
        return f"{self.model_name} version {self.version} is in {self.stage} now{archived}."


def promote(model_name: str, version: int, stage: str = "production") -> PromotionResult:
    """Put a version into a stage, after checking the run that produced it.

    The run is found through the model artifact of the version, never as "the latest": its status and the gate
    results recorded in its own metadata decide. ZenML archives the version that was in the stage in the same
    transaction.

    Args:
        model_name: Name of the model.
        version: Number of the version.
        stage: ``staging`` or ``production``.

    Raises:
        PromotionRefusedError: If the version is unknown, its run is not completed, or its gates are missing
        or
            failed. Nothing is changed then.
    """
    target = _stage(stage)
    candidate = _version(model_name, version)
    run = _producer(candidate)
    problems = _problems(run)
    if problems:
        raise PromotionRefusedError(
            f"Version {version} of {model_name!r} is not promoted to {stage}: {' '.join(problems)}"
        )
    assert run is not None  # noqa: S101 - a missing run is one of the problems
    if candidate.stage == target.value:
        return _result(candidate, target, run, changed=False, archived=None)
    previous = _in_stage(model_name, target)
    candidate.set_stage(stage=target, force=True)
    return _result(candidate, target, run, changed=True, archived=previous)


def latest_candidate(model_name: str) -> int | None:
    """The newest version whose run completed and whose gates passed, or ``None``.

    A version that was archived is no candidate: putting it back is a rollback, which is asked for by number.
    """
    for version in _versions(model_name):
        if version.stage == ModelStages.ARCHIVED.value:
            continue
        if not _problems(_producer(version)):
            return int(version.number)
    return None


def _problems(run: PipelineRunResponse | None) -> list[str]:
    """Why a version may not be promoted: one sentence each."""
    if run is None:
        return [
            "ZenML knows no run that produced its model artifact, so there is no evidence to check. Train a "
            "new one."
        ]
    problems = []
    if run.status != ExecutionStatus.COMPLETED:
        problems.append(
            f"The run {run.name!r} that produced it is {run.status.value}, not completed. Wait for it, or "
            "train again."
        )
    gates: Any = run.run_metadata.get(GATES_METADATA)
    if not isinstance(gates, dict) or not gates.get("verdicts"):
        problems.append(
            f"The run {run.name!r} recorded no gate results. Place quality_gate in the pipeline and train again."
        )
    elif gates.get("passed") is not True or not all(v.get("passed") is True for v in gates["verdicts"]):
        failed = [v.get("gate") for v in gates["verdicts"] if v.get("passed") is not True]
        problems.append(f"The gates {failed} failed in run {run.name!r}. Improve the model and train again.")
    return problems


def _producer(version: ModelVersionResponse) -> PipelineRunResponse | None:
    """The run that made the model artifact of a version."""
    artifacts: list[ArtifactVersionResponse] = list(
        Client().list_artifact_versions(model_version_id=version.id, type=ArtifactType.MODEL, size=_PAGE)
    )
    producers = {a.producer_pipeline_run_id for a in artifacts if a.producer_pipeline_run_id is not None}
    if len(producers) != 1:
        return None
    try:
        return Client().get_pipeline_run(producers.pop())
    except KeyError:
        return None


def _version(model_name: str, number: int) -> ModelVersionResponse:
    try:
        return Client().get_model_version(model_name_or_id=model_name, model_version_name_or_number_or_id=number)
    except KeyError:
        known = [int(version.number) for version in _versions(model_name)]
        raise PromotionRefusedError(
            f"The model {model_name!r} has no version {number}. Known versions, newest first: {known}."
        ) from None


def _versions(model_name: str) -> Iterator[ModelVersionResponse]:
    """The versions of a model, newest first."""
    client = Client()
    page = 1
    while True:
        try:
            found = client.list_model_versions(
                model=model_name, sort_by="desc:number", page=page, size=_PAGE, hydrate=True
            )
        except KeyError:
            return
        yield from found.items
        if page >= found.total_pages:
            return
        page += 1


def _in_stage(model_name: str, stage: ModelStages) -> int | None:
    try:
        version = Client().get_model_version(model_name_or_id=model_name, model_version_name_or_number_or_id=stage)
    except KeyError:
        return None
    return int(version.number)


def _stage(stage: str) -> ModelStages:
    allowed = (ModelStages.STAGING, ModelStages.PRODUCTION)
    for known in allowed:
        if stage == known.value:
            return known
    raise PromotionRefusedError(
        f"{stage!r} is no stage to promote to; use one of {[known.value for known in allowed]}."
    )


def _result(
    version: ModelVersionResponse,
    stage: ModelStages,
    run: PipelineRunResponse,
    *,
    changed: bool,
    archived: int | None,
) -> PromotionResult:
    return PromotionResult(
        model_name=version.model.name,
        version=int(version.number),
        stage=stage.value,
        changed=changed,
        archived_version=archived,
        training_run_id=run.id,
    )
