"""What the command line and the DAG call: promote, roll back, archive, withdraw, approve, reject."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from zenml import log_metadata
from zenml.client import Client
from zenml.models import ModelVersionResponse

from zenml_airflow.client.api import read_local
from zenml_airflow.client.candidates import CandidateCondition
from zenml_airflow.client.conditions import ModelStage, judge
from zenml_airflow.contracts.frozen import Frozen
from zenml_airflow.contracts.model_records import APPROVALS_METADATA, Approval, approvals
from zenml_mlops.audit import Outcome, current_user, record
from zenml_mlops.promotion.errors import PromotionRefusedError
from zenml_mlops.promotion.lock import StageLock
from zenml_mlops.promotion.machine import begin, carry_out, decision_metadata, remembered, subject
from zenml_mlops.promotion.plans import (
    PRODUCTION,
    Preview,
    check_reason,
    check_stage,
    plan_leaving,
    plan_promotion,
    plan_rollback,
)
from zenml_mlops.promotion.records import ENTERING, PAST, Kind, Transition, history, open_transition, training_run
from zenml_mlops.promotion.versions import find_version, stage_of


class PromotionResult(Frozen):
    """What was changed.

    Attributes:
        changed: Whether anything was changed; ``False`` if the version was there already.
        archived_version: Number of the version that left the stage, if one did.
    """

    model_name: str
    version: int
    stage: str
    changed: bool
    archived_version: int | None
    training_run_id: UUID | None
    text: str

    def __str__(self) -> str:
        return self.text


def latest_candidate(model_name: str, stage: str = PRODUCTION) -> int | None:
    """The newest version that could enter a stage, by the rule of the promotion DAG; ``None`` if there is none.

    The version that is in the stage counts where no newer one could enter, so that a promotion may be repeated.
    """
    return _candidate(model_name, stage)[0]


def candidate_or_refusal(model_name: str, stage: str = PRODUCTION) -> int:
    """The same.

    Raises:
        PromotionRefusedError: If there is none, with what is against the newest.
    """
    number, found = _candidate(model_name, stage)
    if number is None:
        raise PromotionRefusedError(f"{found} Train one with `mlops run training`.")
    return number


def _candidate(model_name: str, stage: str) -> tuple[int | None, str]:
    check_stage(stage)
    verdict = judge(CandidateCondition(model=model_name, stage=ModelStage(stage)), read_local)
    return verdict.found.get("version", verdict.found["champion"]), verdict.message


def promote(
    model_name: str,
    version: int,
    stage: str = PRODUCTION,
    *,
    environment: str | None = None,
    actor: str | None = None,
    reason: str = "",
    force: bool = False,
    links: Mapping[str, str] | None = None,
) -> PromotionResult:
    """Put a version into a stage, if every policy on model versions allows it.

    The run that produced it is found through the model artifact of the version, never as "the latest": its
    status and the gate results recorded in its own metadata decide.

    Args:
        stage: ``staging`` or ``production``.
        environment: The environment whose policies hold; that of the active stack by default.
        actor: Who asks for it; the user of the operating system by default.
        reason: Why; with ``force`` at least ten characters.
        force: Waive, for this promotion, the violations of policies that are not critical.

    Raises:
        PromotionRefusedError: If the version is unknown, or a policy refuses it. Nothing is changed then.
        LockedError: If another change of the model's stages is under way.
        AuditError: If the decision cannot be recorded. Nothing is changed then.
        TransitionError: If it stopped on the way; the message says what is changed.
    """
    check_stage(stage)
    candidate, who = find_version(model_name, version), actor or current_user()
    with StageLock(model_name, candidate.model.id) as lock:
        candidate = find_version(model_name, version)
        preview = plan_promotion(candidate, stage, environment, who, reason, force, links or {})
        _check(preview)
        if stage_of(candidate) == stage:
            text = f"{model_name} version {version} is in {stage} already; nothing changed."
            return _result(preview.plan, text, changed=False)
        return _carried_out(preview, candidate, lock)


def preview_promotion(
    model_name: str,
    version: int,
    stage: str = PRODUCTION,
    *,
    environment: str | None = None,
    reason: str = "",
    force: bool = False,
) -> Preview:
    """What :func:`promote` would do with the same arguments."""
    check_stage(stage)
    candidate = find_version(model_name, version)
    return plan_promotion(candidate, stage, environment, current_user(), reason, force, {})


def rollback(
    model_name: str,
    to: int | None = None,
    stage: str = PRODUCTION,
    *,
    environment: str | None = None,
    actor: str | None = None,
    reason: str = "",
    links: Mapping[str, str] | None = None,
) -> PromotionResult:
    """Bring a version back that was in the stage before, as the recorded history says.

    The policies are not asked: they allowed the version when it was promoted, and a rollback must work at night.

    Args:
        to: The version; by default the last one before the present one, leaving out those that were rolled back
            from, archived or withdrawn.

    Raises:
        NothingToRollBackToError: If no version may come back.
        PromotionRefusedError: If the named version was never in the stage, was withdrawn, or has lost its model.
        LockedError, AuditError, TransitionError: See :func:`promote`.
    """
    who = actor or current_user()
    with StageLock(model_name, _model_id(model_name)) as lock:
        preview, version = plan_rollback(model_name, to, stage, environment, who, reason, links or {})
        _check(preview)
        return _carried_out(preview, version, lock)


def preview_rollback(
    model_name: str, to: int | None = None, stage: str = PRODUCTION, *, environment: str | None = None
) -> Preview:
    """What :func:`rollback` would do with the same arguments.

    Raises:
        NothingToRollBackToError: If no version may come back.
    """
    return plan_rollback(model_name, to, stage, environment, current_user(), "", {})[0]


def archive(
    model_name: str, version: int, *, reason: str, environment: str | None = None, actor: str | None = None
) -> PromotionResult:
    """Take a version out of its stage; a rollback does not go through it any more, unless it is named.

    Raises:
        PromotionRefusedError: If the version is unknown or archived already, or no reason is given.
        LockedError, AuditError, TransitionError: See :func:`promote`.
    """
    return _leave(Kind.ARCHIVE, model_name, version, reason, environment, actor)


def withdraw(
    model_name: str, version: int, *, reason: str, environment: str | None = None, actor: str | None = None
) -> PromotionResult:
    """Archive a version for ever: nothing brings it back into a stage.

    Raises:
        PromotionRefusedError: If the version is unknown or withdrawn already, or no reason is given.
        LockedError, AuditError, TransitionError: See :func:`promote`.
    """
    return _leave(Kind.WITHDRAW, model_name, version, reason, environment, actor)


def resume(model_name: str, *, actor: str | None = None) -> str | None:
    """Finish the transition that a process which died has left open.

    Returns:
        What it has changed; ``None`` if there is none.

    Raises:
        PromotionRefusedError: If there is no such model.
        LockedError: If the process may still be alive.
        TransitionError: If somebody changed the stages meanwhile; the plan is abandoned then.
    """
    with StageLock(model_name, _model_id(model_name)) as lock:
        plan = open_transition(history(model_name))
        return None if plan is None else carry_out(plan, lock, resumed_by=actor or current_user())


def decide(
    model_name: str,
    version: int,
    stage: str = PRODUCTION,
    *,
    approved: bool,
    reason: str,
    actor: str | None = None,
    links: Mapping[str, str] | None = None,
) -> Approval:
    """Record that a person lets a version enter a stage, or does not. The last decision holds.

    Raises:
        PromotionRefusedError: If the version is unknown or in the stage already, or no reason is given.
        LockedError: See :func:`promote`.
        AuditError: If the decision cannot be recorded.
    """
    check_stage(stage)
    check_reason(reason)
    now, who = datetime.now(UTC), actor or current_user()
    with StageLock(model_name, _model_id(model_name)):
        found = find_version(model_name, version)
        if stage_of(found) == stage:
            raise PromotionRefusedError(
                f"Version {version} of {model_name!r} is in {stage} already: take it out with `mlops rollback`, "
                "or with `mlops models archive`."
            )
        approval = Approval(stage=stage, approved=approved, by=who, at=now, reason=reason, links=dict(links or {}))
        head = record(
            "approve",
            subject(model_name, version),
            Outcome.ALLOWED if approved else Outcome.REFUSED,
            actor=who,
            reason=reason,
            links={**approval.links, "stage": stage, "model_version": str(found.id)},
        )
        recorded: list[Any] = [item.model_dump(mode="json") for item in (*approvals(found.run_metadata), approval)]
        word = "approved" if approved else "rejected"
        log_metadata(
            metadata={
                APPROVALS_METADATA: recorded,
                **decision_metadata(found, f"{word} for {stage}", who, now, reason),
                **remembered(head),
            },
            model_version_id=found.id,
        )
        return approval


def _leave(
    kind: Kind, model_name: str, number: int, reason: str, environment: str | None, actor: str | None
) -> PromotionResult:
    check_reason(reason)
    who = actor or current_user()
    with StageLock(model_name, _model_id(model_name)) as lock:
        preview, version = plan_leaving(kind, model_name, number, environment, who, reason)
        _check(preview)
        return _carried_out(preview, version, lock)


def _carried_out(preview: Preview, version: ModelVersionResponse, lock: StageLock) -> PromotionResult:
    # Before anything is changed: a transition without an entry must not happen.
    begin(preview.plan, version, preview.assessment)
    return _result(preview.plan, carry_out(preview.plan, lock), changed=True)


def _result(plan: Transition, text: str, *, changed: bool) -> PromotionResult:
    return PromotionResult(
        model_name=plan.model,
        version=plan.version,
        stage=plan.stage,
        changed=changed,
        archived_version=plan.previous if changed else None,
        training_run_id=training_run(plan),
        text=text,
    )


def _check(preview: Preview) -> None:
    """If it is refused, record that and raise it."""
    if not preview.refusals:
        return
    plan, why = preview.plan, "\n".join(preview.refusals)
    version = find_version(plan.model, plan.version)
    head = record(
        plan.kind.value,
        subject(plan.model, plan.version),
        Outcome.REFUSED,
        actor=plan.actor,
        reason=why,
        verdicts=[verdict.record() for verdict in preview.assessment.verdicts] if preview.assessment else [],
        links={
            **plan.links,
            "stage": plan.stage,
            "model_version": str(version.id),
            "zenml_run": plan.links.get("training_run"),
        },
    )
    action = f"{plan.kind.value} to {plan.stage}: {Outcome.REFUSED.value}"
    log_metadata(
        metadata={**decision_metadata(version, action, plan.actor, plan.at, why), **remembered(head)},
        model_version_id=version.id,
    )
    raise PromotionRefusedError(
        f"Version {plan.version} of {plan.model!r} is not {PAST[plan.kind]} to {plan.stage}:\n{why}"
        if plan.kind in ENTERING
        else f"Version {plan.version} of {plan.model!r} is not {PAST[plan.kind]}:\n{why}"
    )


def _model_id(model_name: str) -> UUID:
    try:
        return Client().get_model(model_name).id
    except KeyError:
        raise PromotionRefusedError(
            f"There is no model {model_name!r}: `mlops models list` names what there is."
        ) from None
