"""What the bridge asks before a task runs steps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

from zenml_mlops.audit import Outcome, record
from zenml_mlops.enforcement.started_for import ENVIRONMENT_ENV, STARTED_FOR
from zenml_mlops.policy.facts import Scope
from zenml_mlops.policy.schema import Mode, Policy, load_policies
from zenml_mlops.policy.waivers import load_waivers

_DEPLOYED = frozenset({Scope.PIPELINE, Scope.STACK, Scope.DEPLOYMENT})


class TaskRefusedError(RuntimeError):
    """A task may not run its steps. The message says why and what to do."""


class _Verdict(Protocol):
    @property
    def policy(self) -> str: ...
    @property
    def passed(self) -> bool: ...


class _Start(Protocol):
    @property
    def environment(self) -> str: ...
    @property
    def pipeline(self) -> str: ...
    @property
    def stack(self) -> str: ...
    @property
    def verdicts(self) -> Sequence[_Verdict]: ...


def check_task_start(start: _Start) -> None:
    """Refuse a task whose deployment did not pass every policy that is enforced here today.

    The verdicts are those of the manifest. A policy that was enforced or added since the deployment has none
    there, and a waiver may have ended: both ask for a new deployment, which judges again.

    Args:
        start: The task, see ``zenml_airflow.operators.guards.TaskStart``.

    Raises:
        TaskRefusedError: With every reason.
    """
    if start.environment != STARTED_FOR:
        raise _refusal(
            start,
            f"The DAG file claims environment {start.environment!r}, and Airflow was started for {STARTED_FOR!r}: "
            f"a DAG file must not set {ENVIRONMENT_ENV} or load another environment's settings.",
        )
    policies = load_policies()
    kept = {verdict.policy for verdict in start.verdicts if verdict.passed}
    judged = {verdict.policy for verdict in start.verdicts}
    waived = _waived(start, policies)
    problems = [
        f"{policy.id}: {'was violated when it was deployed' if policy.id in judged else 'was not evaluated'}"
        for policy in policies
        if policy.scope in _DEPLOYED and policy.mode_in(start.environment) is Mode.ENFORCE
        if policy.id not in kept | waived
    ]
    if problems:
        raise _refusal(
            start,
            f"The deployment of {start.pipeline!r} violates policies that are enforced in "
            f"{start.environment!r}: {'; '.join(problems)}. Deploy again: `mlops deploy {start.pipeline} --env "
            f"{start.environment}` says what to change.",
        )


def _refusal(start: _Start, reason: str) -> TaskRefusedError:
    record("start_task", f"pipeline:{start.pipeline}", Outcome.REFUSED, reason=reason)
    return TaskRefusedError(reason)


def _waived(start: _Start, policies: Sequence[Policy]) -> set[str]:
    today = datetime.now(UTC).date()
    granted = [waiver for waiver in load_waivers(policies) if waiver.until >= today]
    subjects = {
        Scope.PIPELINE: f"pipeline:{start.pipeline}",
        Scope.DEPLOYMENT: f"deployment:{start.pipeline}",
        Scope.STACK: f"stack:{start.stack}",
    }
    return {
        policy.id
        for policy in policies
        if policy.scope in subjects
        if any(waiver.covers(policy.id, subjects[policy.scope], start.environment) for waiver in granted)
    }
