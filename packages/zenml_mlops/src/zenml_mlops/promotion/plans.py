"""Plan a transition, and say everything that speaks against it; nothing is recorded or changed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from zenml.client import Client
from zenml.enums import ModelStages
from zenml.models import ModelVersionResponse, PipelineRunResponse

from zenml_airflow.contracts.frozen import Frozen
from zenml_airflow.contracts.model_records import latest_approval
from zenml_airflow.contracts.origins import origin_of
from zenml_mlops.policy.describe import environment_of, served_environments
from zenml_mlops.policy.engine import Assessment, judge
from zenml_mlops.policy.schema import Severity, load_policies
from zenml_mlops.policy.waivers import Waiver, load_waivers
from zenml_mlops.promotion.errors import NothingToRollBackToError, PromotionRefusedError
from zenml_mlops.promotion.records import (
    Kind,
    Record,
    Transition,
    history,
    open_transition,
    past_champions,
    succession,
    withdrawn_versions,
)
from zenml_mlops.promotion.versions import (
    code_of,
    describe_version,
    find_version,
    in_stage,
    model_artifacts,
    producer,
    stage_of,
)

ARCHIVED = ModelStages.ARCHIVED.value
PRODUCTION = ModelStages.PRODUCTION.value
STAGES = (ModelStages.STAGING.value, PRODUCTION)
"""Stages that a version may enter."""

_REASON_LENGTH = 10


class Preview(Frozen):
    """What a command would do. Nothing was recorded or changed.

    Attributes:
        assessment: What the policies say; ``None`` where they are not asked, as of a rollback.
        refusals: Why it would be refused; empty if it would be carried out.
    """

    plan: Transition
    assessment: Assessment | None
    refusals: tuple[str, ...]


def plan_promotion(
    candidate: ModelVersionResponse,
    stage: str,
    environment: str | None,
    actor: str,
    reason: str,
    force: bool,
    links: Mapping[str, str],
) -> Preview:
    """The plan of a promotion, judged by every policy on model versions."""
    run, where = producer(candidate), judged_environment(environment)
    if force:
        check_reason(reason)
    records = history(candidate.model.name)
    facts = describe_version(candidate, run, stage)
    assessment = judge([facts], where)
    waivers = _forced(assessment, actor, reason) if force else ()
    if waivers:
        policies = load_policies()
        assessment = judge([facts], where, policies=policies, waivers=(*load_waivers(policies), *waivers))
    plan = _plan(Kind.PROMOTE, candidate, stage, records, where, actor, reason, links, waivers=waivers, run=run)
    refusals = [*_unfinished(records), *_withdrawn(plan, records)]
    decided = latest_approval(candidate.run_metadata, stage)
    if decided is not None and not decided.approved:
        refusals.append(
            f"{decided.by} rejected it for {stage} on {decided.at:%Y-%m-%d}: {decided.reason} A later approval "
            "would allow it."
        )
    if stage != PRODUCTION and plan.came_from == PRODUCTION:
        refusals.append("It is in production, which would be empty then: promote another version there first.")
    if assessment.blocking:
        refusals.append(assessment.explain())
    if run is None and facts.imported_from is None and not assessment.blocking:
        refusals.append("ZenML knows no run that produced it, so no data either.")
    return Preview(plan=plan, assessment=assessment, refusals=tuple(refusals))


def plan_rollback(
    model_name: str,
    to: int | None,
    stage: str,
    environment: str | None,
    actor: str,
    reason: str,
    links: Mapping[str, str],
) -> tuple[Preview, ModelVersionResponse]:
    """The plan of a rollback, and the version that it brings back.

    Raises:
        NothingToRollBackToError: If none is named and the history has none.
    """
    check_stage(stage)
    records, where = history(model_name), judged_environment(environment)
    present = in_stage(model_name, stage)
    if to is None:
        order = [number for number in succession(records, stage) if number not in present]
        if not order:
            raise NothingToRollBackToError(
                f"No version of {model_name!r} was in {stage} before the present one, so there is nothing to roll "
                f"back to. Its history: `mlops models history {model_name}`; a named version: `mlops rollback "
                f"{model_name} --to VERSION`."
            )
        to = order[-1]
    version = find_version(model_name, to)
    plan = _plan(Kind.ROLLBACK, version, stage, records, where, actor, reason, links, run=producer(version))
    refusals = [*_unfinished(records), *_withdrawn(plan, records)]
    before = past_champions(records, stage)
    if to in present:
        refusals.append(f"It is in {stage} already.")
    elif to not in before:
        refusals.append(
            f"It was never in {stage}; these were: {sorted(before - set(present))}. A new one comes in with "
            "`mlops promote`."
        )
    if not model_artifacts(version):
        refusals.append("Its model artifact was deleted, so nothing could score with it.")
    return Preview(plan=plan, assessment=None, refusals=tuple(refusals)), version


def plan_leaving(
    kind: Kind, model_name: str, number: int, environment: str | None, actor: str, reason: str
) -> tuple[Preview, ModelVersionResponse]:
    """The plan that archives or withdraws a version, and the version."""
    version, records = find_version(model_name, number), history(model_name)
    where = judged_environment(environment)
    plan = _plan(kind, version, ARCHIVED, records, where, actor, reason, {}, run=producer(version))
    refusals = [*_unfinished(records), *_withdrawn(plan, records)]
    if kind is Kind.ARCHIVE and plan.came_from == ARCHIVED and not refusals:
        refusals.append("It is archived already.")
    return Preview(plan=plan, assessment=None, refusals=tuple(refusals)), version


def _plan(
    kind: Kind,
    version: ModelVersionResponse,
    stage: str,
    records: Sequence[Record],
    environment: str,
    actor: str,
    reason: str,
    links: Mapping[str, str],
    *,
    run: PipelineRunResponse | None,
    waivers: tuple[Waiver, ...] = (),
) -> Transition:
    others = [number for number in in_stage(version.model.name, stage) if number != int(version.number)]
    approval = latest_approval(version.run_metadata, stage)
    return Transition(
        number=max((known.plan.number for known in records), default=0) + 1,
        kind=kind,
        model=version.model.name,
        version=int(version.number),
        stage=stage,
        came_from=stage_of(version),
        displaced=() if stage == ARCHIVED else tuple(others),
        actor=actor,
        reason=reason,
        at=datetime.now(UTC),
        environment=environment,
        approval=approval if approval is not None and approval.approved else None,
        waivers=waivers,
        commit=code_of(version).get("commit"),
        links={**links, **_made_by(version, run)},
    )


def _made_by(version: ModelVersionResponse, run: PipelineRunResponse | None) -> dict[str, str]:
    origin = origin_of(version.run_metadata)
    if origin is not None:
        return origin.links
    return {} if run is None else {"training_run": str(run.id)}


def _forced(assessment: Assessment, actor: str, reason: str) -> tuple[Waiver, ...]:
    """Waivers for today of what blocks; a critical policy is waived in ``governance/waivers.yaml`` only."""
    return tuple(
        Waiver(
            policy=verdict.policy,
            subject=verdict.subject,
            who=actor,
            why=reason,
            until=datetime.now(UTC).date(),
            environments=(assessment.environment,),
        )
        for verdict in assessment.blocking
        if verdict.severity is not Severity.CRITICAL
    )


def _unfinished(records: Sequence[Record]) -> list[str]:
    plan = open_transition(records)
    if plan is None:
        return []
    return [
        f"The {plan.kind.value} of version {plan.version} to {plan.stage}, begun by {plan.actor} at "
        f"{plan.at:%Y-%m-%d %H:%M:%S} UTC, was interrupted: finish it with `mlops promote {plan.model} --resume`."
    ]


def _withdrawn(plan: Transition, records: Sequence[Record]) -> list[str]:
    by = withdrawn_versions(records).get(plan.version)
    if by is None:
        return []
    return [f"It was withdrawn by {by.actor} on {by.at:%Y-%m-%d}: {by.reason} Train another one."]


def check_reason(reason: str) -> None:
    """Refuse a reason that is none."""
    if len(reason.strip()) < _REASON_LENGTH:
        raise PromotionRefusedError(
            f"This needs a reason of at least {_REASON_LENGTH} characters, for the record; found "
            f"{reason.strip()!r}. Give one with --reason."
        )


def judged_environment(claimed: str | None) -> str:
    """The environment whose policies hold: a claim counts only where a stack of it is registered.

    Raises:
        PromotionRefusedError: If this ZenML serves other environments than the claimed one.
    """
    known = served_environments()
    if claimed is None:
        return environment_of(Client().active_stack_model)
    if known and claimed not in known:
        raise PromotionRefusedError(f"This ZenML serves {sorted(known)}, not {claimed!r}: name one of these.")
    return claimed


def check_stage(stage: str) -> None:
    """Refuse a stage that no version may enter."""
    if stage not in STAGES:
        raise PromotionRefusedError(f"{stage!r} is not a stage to promote to; use one of {list(STAGES)}.")
