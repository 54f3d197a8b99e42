"""The run-start guard: policies are asked before the first step, however the run was started."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from governance.describe import LOCAL, describe_snapshot, describe_stack, environment_of, stack_environment
from governance.policy.engine import judge
from governance.policy.facts import Subject

if TYPE_CHECKING:
    from zenml.models import PipelineSnapshotResponse

log = logging.getLogger(__name__)


class RunRefusedError(RuntimeError):
    """A run may not start here. The message says why and what to do."""


def check_run_start() -> None:
    """Refuse a run that breaks an enforced policy; place it as a pipeline's ``on_init``.

    What is judged is what ZenML is about to run: the snapshot and its stack, not what a manifest or an
    environment variable claims. The environment is the one that the stack was registered for. Where policies
    are enforced, a run must have been started by Airflow from a deployment: the plain ZenML client starts none.

    Raises:
        RunRefusedError: If the run was not started from a deployment where policies are enforced.
        PolicyViolationError: If an enforced policy refuses it.
    """
    from zenml.client import Client

    snapshot = _running_snapshot()
    stack = snapshot.stack if snapshot is not None and snapshot.stack is not None else Client().active_stack_model
    environment = environment_of(stack)
    subjects: list[Subject] = []
    if stack_environment(stack) is not None or environment != LOCAL:
        subjects.append(describe_stack(stack, environment))
    if snapshot is not None:
        subjects += describe_snapshot(snapshot)
    elif _enforces(environment):
        raise RunRefusedError(
            f"Runs on stack {stack.name!r} of environment {environment!r} are started by Airflow: deploy the "
            "pipeline and trigger its DAG. To try something out, use a stack of your own machine."
        )
    assessment = judge(subjects, environment)
    for verdict in assessment.warnings:
        log.info("policy %s (%s): %s", verdict.policy, verdict.subject, verdict.message)
    assessment.enforce(f"This run in environment {environment!r}")


def _running_snapshot() -> PipelineSnapshotResponse | None:
    """The snapshot of the step that is about to run; ``None`` before the first step of a local run."""
    from zenml import get_step_context

    try:
        return get_step_context().pipeline_run.snapshot
    except RuntimeError:
        return None


def _enforces(environment: str) -> bool:
    """Whether runs must be started from a deployment, as the policy ``guarded-start`` says."""
    from governance.policy.schema import Mode, load_policies

    modes = [policy.mode_in(environment) for policy in load_policies() if policy.rule == "guarded_start"]
    return Mode.ENFORCE in modes
