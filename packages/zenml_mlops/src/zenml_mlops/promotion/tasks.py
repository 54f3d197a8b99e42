"""What a promotion DAG asks for: plain data in, plain data out.

The bridge finds this module by the entry point group ``zenml_airflow.promotion``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zenml.client import Client

from zenml_airflow.contracts.model_records import COMPARISON_METADATA, Comparison, comparison, latest_approval
from zenml_mlops.policy.schema import load_policies
from zenml_mlops.promotion.errors import PromotionRefusedError
from zenml_mlops.promotion.plans import Preview
from zenml_mlops.promotion.service import decide as record_decision
from zenml_mlops.promotion.service import preview_promotion
from zenml_mlops.promotion.service import promote as carry_out
from zenml_mlops.promotion.versions import find_version

APPROVAL_RULE = "model_approval"
"""Name of the rule that demands a person's approval."""


def assess(*, model: str, version: int, stage: str, environment: str, comparison_run: str) -> dict[str, Any]:
    """What is known of a candidate before anybody decides; nothing is changed.

    Args:
        environment: The environment whose policies hold.
        comparison_run: Id of the ZenML run that compared it with the champion.

    Returns:
        ``champion``, ``verdict``, ``reason``, ``numbers``, ``refusals``, ``asks_approval``; see
        ``zenml_airflow.promotion.service``.

    Raises:
        PromotionRefusedError: If the run compared nothing, or another version.
    """
    found = _recorded_comparison(comparison_run, version)
    preview = preview_promotion(model, version, stage, environment=environment)
    missing = _approval_violations(preview)
    return {
        "champion": found.champion,
        "verdict": found.verdict.value,
        "reason": found.reason,
        "numbers": found.sentences(),
        "refusals": _other_refusals(preview, missing),
        "asks_approval": "; ".join(text for verdict in missing.values() for text in verdict),
    }


def decide(
    *, model: str, version: int, stage: str, approved: bool, reason: str, actor: str, links: Mapping[str, str]
) -> None:
    """Record what a person decided in a DAG run; a task that tries again records nothing twice.

    Raises:
        PromotionRefusedError: See :func:`zenml_mlops.promotion.service.decide`.
        LockedError: See :func:`zenml_mlops.promotion.service.decide`.
        AuditError: If the decision cannot be recorded.
    """
    last = latest_approval(find_version(model, version).run_metadata, stage)
    if last is not None and (last.approved, last.by, last.links) == (approved, actor, dict(links)):
        return
    record_decision(model, version, stage, approved=approved, reason=reason, actor=actor, links=links)


def promote(
    *, model: str, version: int, stage: str, environment: str, reason: str, actor: str, links: Mapping[str, str]
) -> dict[str, Any]:
    """Put a version into a stage, see :func:`zenml_mlops.promotion.service.promote`.

    Returns:
        ``changed``, ``archived_version``, ``text`` and ``refused``, which says why it was refused, if it was.

    Raises:
        LockedError: If another change of the model's stages is under way; trying again helps.
        AuditError: If the decision cannot be recorded.
        TransitionError: If it stopped on the way.
    """
    try:
        result = carry_out(model, version, stage, environment=environment, actor=actor, reason=reason, links=links)
    except PromotionRefusedError as refusal:
        return {"changed": False, "archived_version": None, "text": "", "refused": str(refusal)}
    return {**result.model_dump(mode="json", include={"changed", "archived_version", "text"}), "refused": ""}


def _recorded_comparison(run_id: str, version: int) -> Comparison:
    found = comparison(Client().get_pipeline_run(run_id).run_metadata)
    if found is None:
        raise PromotionRefusedError(
            f"The ZenML run {run_id} recorded no comparison under {COMPARISON_METADATA!r}: it is not one of a "
            "pipeline that compares versions."
        )
    if found.challenger != version:
        raise PromotionRefusedError(
            f"The ZenML run {run_id} compared version {found.challenger}, not version {version}."
        )
    return found


def _approval_violations(preview: Preview) -> dict[str, tuple[str, ...]]:
    """What the policies say that demand an approval, where it is missing."""
    demanding = {policy.id for policy in load_policies() if policy.rule == APPROVAL_RULE}
    blocking = preview.assessment.blocking if preview.assessment else ()
    return {verdict.policy: verdict.violations for verdict in blocking if verdict.policy in demanding}


def _other_refusals(preview: Preview, approval: Mapping[str, Any]) -> list[str]:
    """Everything that speaks against the promotion but the missing approval."""
    assessment = preview.assessment
    if assessment is None or not assessment.blocking:
        return list(preview.refusals)
    explained = assessment.explain()
    others = [
        f"{verdict.policy}: {verdict.message}. {verdict.remedy}"
        for verdict in assessment.blocking
        if verdict.policy not in approval
    ]
    return [*(text for text in preview.refusals if text != explained), *others]
