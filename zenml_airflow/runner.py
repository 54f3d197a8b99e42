"""Run steps of a snapshot in this process, as one attempt of one Airflow DAG run.

ZenML is imported inside the functions: the module is named by operators that Airflow parses.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from zenml_airflow.active_stack import active_stack
from zenml_airflow.code_archive import activate_code, fetch_code
from zenml_airflow.context import RunContext, run_context
from zenml_airflow.preload import import_apart_from_airflow

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse, PipelineSnapshotResponse, StepRunResponse

RUN_NAME_LIMIT = 255
"""Length of ZenML's name and orchestrator run id columns."""


class StepFailedError(RuntimeError):
    """A step left no record of success."""


class StepsRequest(BaseModel):
    """Which steps of which snapshot to run.

    Attributes:
        group_id: The task group that places the pipeline; two groups in one DAG are two ZenML runs.
        steps: Invocation ids in topological order.
        code_digest: sha256 of the code archive to run from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    group_id: str
    snapshot_id: str
    code_digest: str
    steps: tuple[str, ...]


class StepsResult(BaseModel):
    """What ZenML recorded.

    Attributes:
        run_id: The ZenML run.
        steps: Status by step, as ZenML's store has it.
        metadata: What the steps logged on the run.
    """

    model_config = ConfigDict(frozen=True)

    run_id: str
    run_name: str
    steps: dict[str, str]
    metadata: dict[str, Any]


def run_steps(request: StepsRequest, context: RunContext, *, code_cache: Path) -> StepsResult:
    """Run steps one after the other and return what ZenML recorded of them.

    A step that this attempt has completed already, in an earlier try of the task, is not run again. Outputs of
    steps upstream that this attempt did not run are taken from the latest attempt that did.

    Args:
        request: The steps.
        context: The run they belong to.
        code_cache: Folder of unpacked code archives.

    Raises:
        StepFailedError: If ZenML holds no successful record of a step afterwards.
        Exception: Whatever a step raises.
    """
    import_apart_from_airflow()
    from zenml.client import Client
    from zenml.execution.context import setup_execution_context
    from zenml.integrations.registry import integration_registry
    from zenml.stack import Stack
    from zenml.utils import source_utils

    client = Client()
    run_key = f"{context.orchestrator_run_id}/{request.group_id}"
    runs = _runs_of_dag_run(context, request.group_id)
    current = next((run for run in runs if run.orchestrator_run_id == run_key), None)
    earlier = [run for run in runs if run is not current]
    snapshot_id = request.snapshot_id
    if current is not None and current.snapshot:
        # The version that the run started with, should a newer one have been deployed since.
        snapshot_id = str(current.snapshot.id)
    snapshot = client.zen_store.get_snapshot(UUID(snapshot_id))
    if snapshot.stack is None:
        raise StepFailedError(f"Snapshot {snapshot_id} has no stack: it was deleted. Deploy again.")
    stack = Stack.from_model(snapshot.stack)
    digest = snapshot.pipeline_configuration.extra.get("code_digest", request.code_digest)
    code = fetch_code(digest, stack.artifact_store.path, code_cache)
    activate_code(code)
    source_utils.set_custom_source_root(str(code))
    integration_registry.activate_integrations()
    with run_context(context), active_stack(snapshot.stack.id):
        run = current or _create_run(snapshot, context, run_key, earlier)
        with setup_execution_context(pipeline_run=run):
            statuses = {}
            for name in request.steps:
                statuses[name] = _run_one(name, snapshot, run, run_key, earlier, context)
    return _result(run, statuses, context)


def _runs_of_dag_run(context: RunContext, group_id: str) -> list[PipelineRunResponse]:
    """ZenML runs of all attempts of this DAG run, the latest first."""
    from zenml.client import Client

    found = Client().list_pipeline_runs(
        orchestrator_run_id=f"startswith:{context.dag_run_key}",
        sort_by="desc:created",
        size=1000,
        hydrate=True,
    )
    keys = {run.id: run.orchestrator_run_id or "" for run in found.items}
    # ZenML searches with LIKE, which takes the underscores of a DAG id for wildcards.
    return [
        run
        for run in found.items
        if keys[run.id].startswith(context.dag_run_key) and keys[run.id].endswith(f"/{group_id}")
    ]


def _create_run(
    snapshot: PipelineSnapshotResponse,
    context: RunContext,
    run_key: str,
    earlier: list[PipelineRunResponse],
) -> PipelineRunResponse:
    """Create the ZenML run of this attempt, unless a task beside this one has just done so."""
    from zenml.client import Client
    from zenml.enums import ExecutionStatus
    from zenml.environment import get_run_environment_dict
    from zenml.models import PipelineRunRequest
    from zenml.utils.time_utils import utc_now

    if len(run_key) > RUN_NAME_LIMIT:
        raise StepFailedError(
            f"DAG id, run id and task group make a run name of {len(run_key)} characters, ZenML keeps "
            f"{RUN_NAME_LIMIT}: shorten one of them ({run_key})."
        )
    client = Client()
    replaced = earlier[0] if earlier else None
    tags = [*(snapshot.pipeline_configuration.tags or []), *context_tags(context)]
    run, created = client.zen_store.get_or_create_run(
        PipelineRunRequest(
            name=run_key,
            orchestrator_run_id=run_key,
            project=client.active_project.id,
            snapshot=snapshot.id,
            status=ExecutionStatus.RUNNING,
            orchestrator_environment=get_run_environment_dict(),
            start_time=utc_now(),
            tags=tags,
            original_run_id=replaced.id if replaced else None,
        )
    )
    if created:
        record_context(run.id, context)
    return run


def context_tags(context: RunContext) -> list[str]:
    """Tags by which ``zenml pipeline runs list --tags`` finds the run of a day."""
    return [
        f"environment={context.environment}",
        f"dag_id={context.dag_id}",
        f"logical_date={context.partition_date.isoformat()}",
    ]


def context_metadata(context: RunContext) -> dict[str, Any]:
    """The run context as metadata of the ZenML run."""
    values = context.model_dump(mode="json", exclude={"storage_root", "try_number"})
    return {key: value for key, value in values.items() if value not in ({}, None)}


def record_context(run_id: UUID, context: RunContext) -> None:
    """Record the run context as metadata of a ZenML run."""
    from zenml.client import Client
    from zenml.enums import MetadataResourceTypes
    from zenml.models import RunMetadataResource

    Client().create_run_metadata(
        metadata=context_metadata(context),
        resources=[RunMetadataResource(id=run_id, type=MetadataResourceTypes.PIPELINE_RUN)],
    )


def _run_one(
    name: str,
    snapshot: PipelineSnapshotResponse,
    run: PipelineRunResponse,
    run_key: str,
    earlier: list[PipelineRunResponse],
    context: RunContext,
) -> str:
    """Run a step unless this attempt has completed it; return its recorded status."""
    from zenml.execution.context import record_step_run
    from zenml.orchestrators.step_launcher import StepLauncher

    done = _step_run(run, name)
    if done is not None and done.status.is_successful:
        record_step_run(done)
        return str(done.status.value)
    _reuse_upstream(name, snapshot, run, earlier, context)
    StepLauncher(snapshot=snapshot, step=snapshot.step_configurations[name], orchestrator_run_id=run_key).launch()
    recorded = _step_run(run, name)
    if recorded is None or not recorded.status.is_successful:
        status = recorded.status.value if recorded else "no record"
        raise StepFailedError(f"Step {name!r} returned, but ZenML holds {status} for it in run {run.id}.")
    return str(recorded.status.value)


def _reuse_upstream(
    name: str,
    snapshot: PipelineSnapshotResponse,
    run: PipelineRunResponse,
    earlier: list[PipelineRunResponse],
    context: RunContext,
) -> None:
    """Record, in this attempt, the upstream steps that only an earlier attempt has run."""
    from zenml.client import Client
    from zenml.enums import ExecutionStatus
    from zenml.models import StepRunRequest
    from zenml.orchestrators.step_run_utils import publish_cached_step_run
    from zenml.utils.time_utils import utc_now

    if not earlier:
        return
    for ancestor in _ancestors(name, snapshot):
        if _step_run(run, ancestor) is not None:
            continue
        candidates = (_step_run(one, ancestor) for one in earlier)
        source = next((one for one in candidates if one is not None and one.status.is_successful), None)
        if source is None:
            raise StepFailedError(
                f"Step {name!r} needs the output of {ancestor!r}, and no attempt of {context.dag_run_id!r} has "
                f"completed it: clear {ancestor!r} too."
            )
        now = utc_now()
        publish_cached_step_run(
            StepRunRequest(
                name=ancestor,
                pipeline_run_id=run.id,
                project=Client().active_project.id,
                status=ExecutionStatus.CACHED,
                start_time=now,
                end_time=now,
                original_step_run_id=source.original_step_run_id or source.id,
                inputs={key: [item.id for item in items] for key, items in source.inputs.items()},
                outputs={key: [item.id for item in items] for key, items in source.outputs.items()},
                docstring=source.docstring,
                source_code=source.source_code,
                code_hash=source.code_hash,
                cache_key=source.cache_key,
                cache_expires_at=now,
            ),
            pipeline_run=run,
        )


def _ancestors(name: str, snapshot: PipelineSnapshotResponse) -> list[str]:
    """All steps upstream of a step, the furthest first."""
    steps = snapshot.step_configurations
    wanted: set[str] = set()
    pending = list(steps[name].spec.upstream_steps)
    while pending:
        current = pending.pop()
        if current not in wanted:
            wanted.add(current)
            pending.extend(steps[current].spec.upstream_steps)
    # ZenML keeps the steps in topological order.
    return [step for step in steps if step in wanted]


def _step_run(run: PipelineRunResponse, name: str) -> StepRunResponse | None:
    """The latest record of a step in a run, or ``None``."""
    from zenml.client import Client

    found = Client().list_run_steps(
        pipeline_run_id=run.id, name=name, size=1, hydrate=True, exclude_retried=True, sort_by="desc:version"
    )
    return found.items[0] if found.items else None


def _result(run: PipelineRunResponse, statuses: dict[str, str], context: RunContext) -> StepsResult:
    from zenml.client import Client

    logged = Client().get_pipeline_run(run.id, hydrate=True).run_metadata
    from_context = context_metadata(context)
    return StepsResult(
        run_id=str(run.id),
        run_name=run.name,
        steps=statuses,
        metadata={key: value for key, value in logged.items() if key not in from_context},
    )
