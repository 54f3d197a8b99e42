"""Deploy the pipelines of an environment, or run one in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from zenml_airflow.settings.project import Settings
from zenml_mlops.environment.deployments import (
    CODE_PACKAGES,
    deployment_context,
    load_pipeline,
    pipeline_arguments,
    pipelines,
)
from zenml_mlops.environment.stack_changes import apply_stack
from zenml_mlops.environment.stack_files import checked_stack, stack_id

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse


def deploy_all(settings: Settings, progress: Callable[[str], None], names: list[str] | None = None) -> None:
    """Apply the environment's stacks, then compile the named pipelines, or all of them.

    Raises:
        StackDriftError: If somebody changed the environment's stacks by hand, and that is not to be.
        PolicyViolationError: If an enforced policy refuses one of them; none is deployed then.
    """
    from zenml_airflow.deploy.deploy import deploy_pipeline
    from zenml_airflow.manifest.manifest import PolicyVerdict
    from zenml_airflow.runtime.active_stack import active_stack
    from zenml_mlops.audit import Outcome, record
    from zenml_mlops.environment.policies import decide, deployment_extra, judge_deployment
    from zenml_mlops.environment.stack_changes import check_before_deployment

    chosen = pipelines(settings, names).values()
    loaded = check_before_deployment(settings, progress)
    for change in apply_stack(settings, loaded):
        progress(f"stack: {change}")
    context = deployment_context(settings, loaded.file)
    with active_stack(stack_id(settings, scheduled=True, file=loaded.file)):
        # All of them before the first: a refused pipeline must not leave the others half deployed.
        judged = [
            (found, spec, judge_deployment(found, spec))
            for found, spec in ((replace(context, settings=own), spec) for own, spec in chosen)
        ]
        for found, spec, assessment in judged:
            for verdict in assessment.warnings:
                progress(f"policy {verdict.policy} ({verdict.mode}, {verdict.subject}): {verdict.message}")
            decide("deploy", found, spec, assessment)
        for _, spec, assessment in judged:
            assessment.enforce(f"Deploying {spec.name!r} to {settings.environment!r}")
        for found, spec, assessment in judged:
            manifest, path = deploy_pipeline(
                load_pipeline(found, spec),
                pipeline_arguments(found, spec),
                settings=found.settings,
                packages=CODE_PACKAGES,
                made=context.made,
                policies=tuple(
                    PolicyVerdict(policy=v.policy, mode=v.mode.value, passed=v.passed, message=v.message)
                    for v in assessment.verdicts
                ),
                extra=deployment_extra(found, spec.name),
            )
            record(
                "deploy",
                f"pipeline:{spec.name}",
                Outcome.DONE,
                links={
                    "environment": settings.environment,
                    "snapshot": str(manifest.snapshot_id),
                    "commit": manifest.code.commit,
                },
            )
            progress(
                f"deployed {spec.name} to {settings.environment}: snapshot {manifest.snapshot_name}, "
                f"{len(manifest.steps)} steps, manifest {path.name}"
            )


def run_inline(settings: Settings, name: str, day: date | None, params: dict[str, Any]) -> PipelineRunResponse:
    """Run a pipeline in this process and return the ZenML run.

    Args:
        day: Day that the run is for; today in the environment's time zone by default.

    Raises:
        Exception: Whatever a step raises.
    """
    from zenml.client import Client
    from zenml.enums import ExecutionMode
    from zenml.utils import source_utils

    from zenml_airflow.context import cli_context, run_context
    from zenml_airflow.runtime.active_stack import active_stack
    from zenml_airflow.runtime.records import context_tags, record_context
    from zenml_mlops.environment.policies import decide, judge_deployment

    settings, spec = pipelines(settings, [name])[name]
    source_utils.set_custom_source_root(str(settings.project_root))
    told = cli_context(
        day or datetime.now(ZoneInfo(settings.timezone)).date(),
        environment=settings.environment,
        storage_root=settings.storage_root,
        timezone=settings.timezone,
        params=params,
    )
    loaded = checked_stack(settings)
    apply_stack(settings, loaded)
    context = deployment_context(settings, loaded.file)
    arguments = pipeline_arguments(context, spec)
    # The steps run in this process, whatever Airflow's tasks would run in.
    arguments["provenance"] = context.made.model_copy(update={"image": None})
    with run_context(told), active_stack(stack_id(settings, scheduled=False, file=loaded.file)):
        decide("run", context, spec, judge_deployment(context, spec)).enforce(
            f"Running {name!r} in {settings.environment!r}"
        )
        pipeline = load_pipeline(context, spec).with_options(
            run_name=f"{name}/{told.dag_run_id}", execution_mode=ExecutionMode.FAIL_FAST
        )
        pipeline.configure(tags=[*context_tags(told)])
        finished = pipeline(**arguments)
        if finished is None:
            raise RuntimeError(f"ZenML started no run of {name!r}.")
        record_context(finished.id, told)
        return Client().get_pipeline_run(finished.id)
