"""Carry out a planned transition: step by step, each of which may be repeated, so that a crash is resumed.

``plan written → version enters the stage → what else is in it is archived → audit entry → end written``. Until the
version enters, the stages are as they were before. ZenML archives the version that was in the stage in the
transaction in which the new one enters it, so at every moment the stages are those before or those after.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from zenml import log_metadata
from zenml.client import Client
from zenml.metadata.metadata_types import MetadataType
from zenml.models import ModelVersionResponse

from zenml_mlops.audit import HEAD_METADATA, Head, Outcome, record, recorded_head
from zenml_mlops.cards.card import DECISIONS_METADATA, Decision
from zenml_mlops.policy.engine import Assessment
from zenml_mlops.promotion.errors import TransitionError
from zenml_mlops.promotion.lock import LockedError, StageLock
from zenml_mlops.promotion.plans import ARCHIVED
from zenml_mlops.promotion.records import (
    ENTERING,
    Kind,
    State,
    Transition,
    TransitionOutcome,
    outcome_metadata,
    plan_metadata,
)
from zenml_mlops.promotion.versions import find_version, in_stage, stage_of


def begin(plan: Transition, version: ModelVersionResponse, assessment: Assessment | None) -> None:
    """Record that the transition is allowed, then its plan; nothing else is changed.

    Raises:
        AuditError: If the decision cannot be recorded.
    """
    head = _audit(plan, version, Outcome.ALLOWED, plan.reason or None, assessment)
    log_metadata(metadata={**plan_metadata(plan), **remembered(head)}, model_version_id=version.id)


def carry_out(plan: Transition, lock: StageLock, *, resumed_by: str | None = None) -> str:
    """Do what the plan says from wherever it stands, and record its end.

    Args:
        plan: A plan that was written with :func:`begin`.
        resumed_by: Who goes on with it, if the process that wrote it does not.

    Raises:
        TransitionError: If it stopped. The message says what is changed and what is not.
    """
    version = find_version(plan.model, plan.version)
    foreign = _foreign(plan, version)
    if foreign is not None:
        _close(plan, version, State.ABANDONED, resumed_by, foreign)
        raise TransitionError(f"{foreign} The plan {plan.id} is abandoned; request the change again.")
    try:
        if stage_of(version) != plan.stage:
            lock.check()
            version.set_stage(stage=plan.stage, force=True)
        _archive_others(plan, lock)
        _close(plan, version, State.DONE, resumed_by, summary(plan))
    except LockedError as error:
        raise TransitionError(f"{error} {_progress(plan)}") from error
    except Exception as error:
        raise _stopped(plan, version, resumed_by, error) from error
    return summary(plan)


def summary(plan: Transition) -> str:
    """What the plan changes, in a sentence in the present tense."""
    if plan.kind in ENTERING:
        archived = "".join(f"; version {number} is archived" for number in plan.displaced)
        return f"{plan.model} version {plan.version} is in {plan.stage} now{archived}."
    word = "withdrawn and never serves again" if plan.kind is Kind.WITHDRAW else "archived"
    left = f"; {plan.came_from} is empty now" if plan.came_from not in (None, ARCHIVED) else ""
    return f"{plan.model} version {plan.version} is {word}{left}."


def _archive_others(plan: Transition, lock: StageLock) -> None:
    """ZenML archives one version at most; another one is there only if somebody went around its client."""
    if plan.kind not in ENTERING:
        return
    for number in in_stage(plan.model, plan.stage):
        if number != plan.version:
            lock.check()
            find_version(plan.model, number).set_stage(stage=ARCHIVED, force=True)


def _foreign(plan: Transition, version: ModelVersionResponse) -> str | None:
    """Why the plan no longer fits: the stages are neither as before it nor as after it."""
    if stage_of(version) == plan.stage:
        return None
    found = in_stage(plan.model, plan.stage) if plan.kind in ENTERING else []
    if stage_of(version) == plan.came_from and set(found) <= set(plan.displaced):
        return None
    named = ", ".join(f"version {number}" for number in found) or "none"
    return (
        f"Since plan {plan.id} was written, somebody changed the stages without it: version {plan.version} is in "
        f"{stage_of(version) or 'no stage'}, and {plan.stage} holds {named}."
    )


def _stopped(
    plan: Transition, version: ModelVersionResponse, resumed_by: str | None, error: Exception
) -> TransitionError:
    """The error of a transition that stopped, which says what really changed."""
    which, what = f"{plan.kind.value} of {plan.model} version {plan.version}", f"{type(error).__name__}: {error}"
    try:
        if stage_of(find_version(plan.model, plan.version)) == plan.came_from:
            _close(plan, version, State.FAILED, resumed_by, f"{what}. Nothing was changed.")
            return TransitionError(f"{which} failed: {what}. Nothing was changed.")
    except Exception as second:  # noqa: BLE001 - what fails here must not hide what failed first
        what = f"{what}; then {type(second).__name__}: {second}"
    return TransitionError(f"{which} stopped: {what}. {_progress(plan)}")


def _progress(plan: Transition) -> str:
    """What is changed now, and the way out."""
    way = f"Finish it with `mlops promote {plan.model} --resume`."
    try:
        now = stage_of(find_version(plan.model, plan.version)) or "no stage"
    except Exception as error:  # noqa: BLE001 - the sentence must be said even if ZenML does not answer
        return f"ZenML does not report what was changed ({type(error).__name__}: {error}). {way}"
    return f"Version {plan.version} is in {now} now; the outcome is not recorded. {way}"


def _close(
    plan: Transition, version: ModelVersionResponse, state: State, resumed_by: str | None, detail: str
) -> None:
    outcome = Outcome.DONE if state is State.DONE else Outcome.FAILED
    # A process that died between the entry and the end has left the entry: it is not written twice.
    wanted = {"transition": plan.id, "model_version": str(version.id)}
    head = recorded_head(outcome, wanted) if resumed_by else None
    head = head or _audit(plan, version, outcome, detail, None)
    now, by = datetime.now(UTC), resumed_by or plan.actor
    action = f"{plan.kind.value} to {plan.stage}" if plan.kind in ENTERING else plan.kind.value
    log_metadata(
        metadata={
            **decision_metadata(version, f"{action}: {outcome.value}", plan.actor, now, plan.reason or detail),
            **outcome_metadata(plan, TransitionOutcome(state=state, at=now, by=by, detail=detail)),
            **remembered(head),
        },
        model_version_id=version.id,
    )


def decision_metadata(
    version: ModelVersionResponse, action: str, by: str, at: datetime, reason: str
) -> dict[str, MetadataType]:
    """The decisions on a version with one more, as metadata; its card shows them."""
    current: Any = Client().get_model_version(version.model.id, version.id).run_metadata
    decision = Decision(action=action, by=by, at=at, reason=reason)
    return {DECISIONS_METADATA: [*current.get(DECISIONS_METADATA, []), decision.model_dump(mode="json")]}


def remembered(head: Head | None) -> dict[str, MetadataType]:
    """The head of the audit log as metadata; none where the process has no log."""
    return {} if head is None else {HEAD_METADATA: head.model_dump()}


def _audit(
    plan: Transition,
    version: ModelVersionResponse,
    outcome: Outcome,
    reason: str | None,
    assessment: Assessment | None,
) -> Head | None:
    return record(
        plan.kind.value,
        subject(plan.model, plan.version),
        outcome,
        actor=plan.actor,
        reason=reason,
        verdicts=[verdict.record() for verdict in assessment.verdicts] if assessment else [],
        links={
            **plan.links,
            "stage": plan.stage,
            "transition": plan.id,
            "model_version": str(version.id),
            "zenml_run": plan.links.get("training_run"),
            "previous": None if plan.previous is None else str(plan.previous),
            "approved_by": plan.approval.by if plan.approval else None,
            "commit": plan.commit,
        },
    )


def subject(model: str, version: int) -> str:
    """How the audit log names a version."""
    return f"model_version:{model}/{version}"
