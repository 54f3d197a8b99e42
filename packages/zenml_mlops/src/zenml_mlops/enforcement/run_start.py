"""The run-start guard: policies are asked before the first step, however the run was started."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from zenml_mlops.audit import HEAD_METADATA, Outcome, airflow_actor, record
from zenml_mlops.policy.describe import LOCAL, describe_snapshot, describe_stack, environment_of, stack_environment
from zenml_mlops.policy.engine import Assessment, judge
from zenml_mlops.policy.facts import Subject

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse, StackResponse

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

    run = _running()
    snapshot = run.snapshot if run is not None else None
    stack = snapshot.stack if snapshot is not None and snapshot.stack is not None else Client().active_stack_model
    environment = environment_of(stack)
    subjects: list[Subject] = []
    if stack_environment(stack) is not None or environment != LOCAL:
        subjects.append(describe_stack(stack, environment))
    if snapshot is not None:
        subjects += describe_snapshot(snapshot)
    elif _enforces(environment):
        reason = (
            f"Runs on stack {stack.name!r} of environment {environment!r} are started by Airflow: deploy the "
            "pipeline and trigger its DAG. To try something out, use a stack of your own machine."
        )
        record("start_run", f"stack:{stack.name}", Outcome.REFUSED, reason=reason)
        raise RunRefusedError(reason)
    assessment = judge(subjects, environment)
    for verdict in assessment.warnings:
        log.info("policy %s (%s): %s", verdict.policy, verdict.subject, verdict.message)
    _record(run, stack, assessment)
    assessment.enforce(f"This run in environment {environment!r}")


def _running() -> PipelineRunResponse | None:
    """The run of the step that is about to run; ``None`` before the first step of a local run."""
    from zenml import get_step_context

    try:
        return get_step_context().pipeline_run
    except RuntimeError:
        return None


def _record(run: PipelineRunResponse | None, stack: StackResponse, assessment: Assessment) -> None:
    """Record the decision: each refusal, and once a run, not once a process of it, that it may start."""
    from zenml import log_metadata

    metadata = run.run_metadata if run is not None else {}
    if not assessment.blocking and HEAD_METADATA in metadata:
        return
    head = record(
        "start_run",
        f"stack:{stack.name}" if run is None or run.pipeline is None else f"pipeline:{run.pipeline.name}",
        Outcome.REFUSED if assessment.blocking else Outcome.ALLOWED,
        actor=airflow_actor(metadata),
        verdicts=[verdict.record() for verdict in assessment.verdicts],
        links={"environment": assessment.environment, "zenml_run": str(run.id) if run is not None else None},
    )
    if head is not None and run is not None:
        log_metadata(metadata={HEAD_METADATA: head.model_dump()}, run_id_name_or_prefix=run.id)


def _enforces(environment: str) -> bool:
    """Whether runs must be started from a deployment, as the policy ``guarded-start`` says."""
    from zenml_mlops.policy.schema import Mode, load_policies

    modes = [policy.mode_in(environment) for policy in load_policies() if policy.rule == "guarded_start"]
    return Mode.ENFORCE in modes
