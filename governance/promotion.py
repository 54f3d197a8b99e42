"""Promotion: which version may enter a stage, and what really changed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from zenml import log_metadata
from zenml.client import Client
from zenml.enums import ArtifactType, ModelStages
from zenml.metadata.metadata_types import MetadataType
from zenml.models import ArtifactVersionResponse, ModelVersionResponse, PipelineRunResponse

from governance.audit import HEAD_METADATA, Outcome, current_user, record
from governance.describe import environment_of, served_environments
from governance.policy.engine import Assessment, judge
from governance.policy.facts import ModelVersionFacts
from governance.policy.model_rules import GateParameters, model_gates
from governance.steps.card import CARD_ARTIFACT, DECISIONS_METADATA, Decision
from governance.steps.gates import GATES_METADATA

_PAGE = 50

TRAINING_METADATA = "training"
"""Key of the metadata of a version and its run that says what it is made of: ``data.sha256``, ``provenance``, …"""


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


def promote(
    model_name: str, version: int, stage: str = "production", *, environment: str | None = None
) -> PromotionResult:
    """Put a version into a stage, if every policy on model versions allows it.

    The run that produced it is found through the model artifact of the version, never as "the latest": its
    status and the gate results recorded in its own metadata decide. ZenML archives the version that was in the
    stage in the same transaction.

    Args:
        model_name: Name of the model.
        version: Number of the version.
        stage: ``staging`` or ``production``.
        environment: The environment whose policies hold; that of the active stack by default.

    Raises:
        PromotionRefusedError: If the version is unknown, or a policy refuses it. Nothing is changed then.
        AuditError: If the decision cannot be recorded. Nothing is changed then.
    """
    target = _stage(stage)
    candidate = _version(model_name, version)
    run = _producer(candidate)
    refused = f"Version {version} of {model_name!r} is not promoted to {stage}"
    assessment = judge([describe_version(candidate, run, stage)], _environment(environment))
    if assessment.blocking or run is None:
        why = assessment.explain() or "ZenML knows no run that produced it, so no data either."
        _record(candidate, run, target, Outcome.REFUSED, assessment=assessment, reason=why)
        raise PromotionRefusedError(f"{refused}:\n{why}")
    if candidate.stage == target.value:
        return _result(candidate, target, run, changed=False, archived=None)
    # Before anything is changed: a promotion without an entry must not happen.
    _record(candidate, run, target, Outcome.ALLOWED, assessment=assessment)
    previous = _in_stage(model_name, target)
    try:
        candidate.set_stage(stage=target, force=True)
    except Exception as error:
        _record(candidate, run, target, Outcome.FAILED, reason=f"{type(error).__name__}: {error}")
        raise
    result = _result(candidate, target, run, changed=True, archived=previous)
    _record(candidate, run, target, Outcome.DONE, reason=str(result))
    return result


def _record(
    version: ModelVersionResponse,
    run: PipelineRunResponse | None,
    stage: ModelStages,
    outcome: Outcome,
    *,
    assessment: Assessment | None = None,
    reason: str | None = None,
) -> None:
    head = record(
        "promote",
        f"model_version:{version.model.name}/{version.number}",
        outcome,
        reason=reason,
        verdicts=[verdict.record() for verdict in assessment.verdicts] if assessment else [],
        links={
            "stage": stage.value,
            "model_version": str(version.id),
            "zenml_run": str(run.id) if run else None,
        },
    )
    metadata: dict[str, MetadataType] = {} if head is None else {HEAD_METADATA: head.model_dump()}
    if outcome is not Outcome.ALLOWED:
        decision = Decision(
            action=f"promote to {stage.value}: {outcome.value}",
            by=current_user(),
            at=datetime.now(UTC),
            reason=reason or "",
        )
        now: Any = Client().get_model_version(version.model.id, version.id).run_metadata
        metadata[DECISIONS_METADATA] = [*now.get(DECISIONS_METADATA, []), decision.model_dump(mode="json")]
    if metadata:
        log_metadata(metadata=metadata, model_version_id=version.id)


def latest_candidate(model_name: str) -> int | None:
    """The newest version whose run completed and whose gates passed, or ``None``.

    A version that was archived is no candidate: putting it back is a rollback, which is asked for by number.
    """
    for version in _versions(model_name):
        if version.stage == ModelStages.ARCHIVED.value:
            continue
        facts = describe_version(version, _producer(version), ModelStages.PRODUCTION.value)
        if not any(model_gates(facts, GateParameters())):
            return int(version.number)
    return None


def describe_version(
    version: ModelVersionResponse, run: PipelineRunResponse | None, target: str
) -> ModelVersionFacts:
    """Describe a version for the policies.

    Args:
        version: The version.
        run: The run that produced its model artifact, if ZenML knows it.
        target: Stage that it is to enter.
    """
    training: Any = version.run_metadata.get(TRAINING_METADATA)
    made: dict[str, Any] = training if isinstance(training, dict) else {}
    code: dict[str, Any] = made.get("provenance", {})
    recorded: Any = run.run_metadata.get(GATES_METADATA) if run else None
    verdicts = recorded.get("verdicts", []) if isinstance(recorded, dict) else []
    gates = {str(verdict["gate"]): verdict.get("passed") is True for verdict in verdicts}
    if gates and recorded.get("passed") is not True and all(gates.values()):
        gates["the report as a whole"] = False
    environment = run.run_metadata.get("environment") if run else None
    return ModelVersionFacts(
        name=version.model.name,
        version=int(version.number),
        target=target,
        run_status=run.status.value if run else None,
        gates=gates,
        has_card=version.get_artifact(CARD_ARTIFACT) is not None,
        data_digest=made.get("data", {}).get("sha256"),
        commit=code.get("git_commit"),
        dirty=code.get("git_dirty"),
        environment=None if environment is None else str(environment),
        created=version.created,
    )


def _environment(claimed: str | None) -> str:
    """The environment whose policies hold: a claim counts only where a stack of it is registered.

    Raises:
        PromotionRefusedError: If this ZenML serves other environments than the claimed one.
    """
    served = served_environments()
    if claimed is None:
        return environment_of(Client().active_stack_model)
    if served and claimed not in served:
        raise PromotionRefusedError(f"This ZenML serves {sorted(served)}, not {claimed!r}: name one of these.")
    return claimed


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
