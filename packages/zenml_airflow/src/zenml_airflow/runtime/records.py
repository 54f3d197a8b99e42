"""ZenML's records of an Airflow DAG run: find, create, adopt, close.

One ZenML run belongs to one attempt of one DAG run and one task group. ZenML is imported inside the functions: the
module is named by code that Airflow parses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

from zenml_airflow.context import RunContext

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse, PipelineSnapshotResponse, StepRunResponse

RUN_NAME_LIMIT = 255
"""Length of ZenML's name and orchestrator run id columns."""

_KEY = re.compile(r"^(?P<attempt>[^/]+/.+/\d+\.\d{8}T\d{12})(?:\.(?P<part>\d+))?/(?P<group>[^/]+)$")


class RecordsError(RuntimeError):
    """ZenML's records do not allow what is asked."""


class RunKey:
    """The orchestrator run id of a ZenML run: attempt, part, task group.

    A part is a continuation: ZenML never reopens a run that was stopped, so a retry of it within one attempt goes
    on in a new run, linked to the one before.
    """

    def __init__(self, attempt: str, group_id: str, part: int = 0) -> None:
        self.attempt = attempt
        self.group_id = group_id
        self.part = part

    @classmethod
    def parse(cls, text: str | None) -> RunKey | None:
        """Read a key; ``None`` where another tool wrote it."""
        match = _KEY.match(text or "")
        return cls(match["attempt"], match["group"], int(match["part"] or 0)) if match else None

    def __str__(self) -> str:
        return f"{self.attempt}{f'.{self.part}' if self.part else ''}/{self.group_id}"

    def next(self) -> RunKey:
        """The key of the run that continues this one."""
        return RunKey(self.attempt, self.group_id, self.part + 1)


class RunHistory:
    """The ZenML runs of all attempts of one DAG run, the latest first.

    Attributes:
        current: The run of this attempt and this group; its latest part.
        earlier: All other runs of the DAG run, whose outputs may be reused.
    """

    def __init__(self, context: RunContext, group_id: str, runs: Sequence[PipelineRunResponse]) -> None:
        self.context = context
        self.key = RunKey(context.orchestrator_run_id, group_id)
        mine = []
        for run in runs:
            key = RunKey.parse(run.orchestrator_run_id)
            if key and (key.attempt, key.group_id) == (self.key.attempt, group_id):
                mine.append((key.part, run))
        latest = max(mine, key=lambda item: item[0], default=None)
        self.current = latest[1] if latest else None
        if latest:
            self.key.part = latest[0]
        self.earlier = [run for run in runs if run is not self.current]

    @classmethod
    def load(cls, context: RunContext, group_id: str) -> RunHistory:
        """Ask ZenML for the runs of the DAG run that ``context`` is about."""
        return cls(context, group_id, runs_of_dag_run(context.dag_run_key))

    def replaced(self) -> list[PipelineRunResponse]:
        """The runs of the same group that the next run takes the place of, the latest first."""
        runs = [self.current, *self.earlier] if self.current else self.earlier
        group = self.key.group_id
        return [run for run in runs if (key := RunKey.parse(run.orchestrator_run_id)) and key.group_id == group]

    def source_of(self, step: str, snapshot: PipelineSnapshotResponse) -> StepRunResponse | None:
        """The latest record of a step that has really run, in an earlier run of the same pipeline."""
        pipeline = snapshot.pipeline.id
        return latest_source((run for run in self.earlier if run.pipeline and run.pipeline.id == pipeline), step)


def runs_of_dag_run(dag_run_key: str) -> list[PipelineRunResponse]:
    """ZenML runs of all attempts and groups of a DAG run, the latest first.

    Args:
        dag_run_key: What their identities begin with, see :attr:`RunContext.dag_run_key`.
    """
    from zenml.client import Client

    found = Client().list_pipeline_runs(
        orchestrator_run_id=f"startswith:{dag_run_key}", sort_by="desc:created", size=1000, hydrate=True
    )
    # ZenML searches with LIKE, which takes the underscores of a DAG id for wildcards.
    return [run for run in found.items if (run.orchestrator_run_id or "").startswith(dag_run_key)]


def latest_source(runs: Iterable[PipelineRunResponse], step: str) -> StepRunResponse | None:
    """The first record of a step that has really run, not one that was left out, in the order of the runs."""
    from zenml.enums import ExecutionStatus

    usable = {ExecutionStatus.COMPLETED, ExecutionStatus.CACHED}
    records = (latest_step(run.id, step) for run in runs)
    return next((one for one in records if one is not None and one.status in usable), None)


def create_run(history: RunHistory, snapshot: PipelineSnapshotResponse) -> PipelineRunResponse:
    """Create the ZenML run of an attempt, or of its next part, unless a task beside this one has just done so.

    Raises:
        RecordsError: If the identity is longer than ZenML keeps.
    """
    from zenml.client import Client
    from zenml.enums import ExecutionStatus
    from zenml.environment import Environment
    from zenml.models import PipelineRunRequest
    from zenml.utils.time_utils import utc_now

    key = str(history.key.next() if history.current else history.key)
    if len(key) > RUN_NAME_LIMIT:
        raise RecordsError(
            f"DAG id, run id and task group make a run name of {len(key)} characters, ZenML keeps "
            f"{RUN_NAME_LIMIT}: shorten one of them ({key})."
        )
    replaced = next(iter(history.replaced()), None)
    client = Client()
    run, created = client.zen_store.get_or_create_run(
        PipelineRunRequest(
            name=key,
            orchestrator_run_id=key,
            project=client.active_project.id,
            snapshot=snapshot.id,
            status=ExecutionStatus.RUNNING,
            # ZenML would also list the installed packages, with a call of pip; the code digest says as much.
            orchestrator_environment={
                **Environment.get_system_info(),
                "python_version": Environment.python_version(),
            },
            start_time=utc_now(),
            tags=[*(snapshot.pipeline_configuration.tags or []), *context_tags(history.context)],
            original_run_id=replaced.id if replaced else None,
        )
    )
    if created:
        record_context(run.id, history.context)
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


def latest_steps(run_id: UUID) -> dict[str, StepRunResponse]:
    """The latest record of each step of a run."""
    from zenml.client import Client

    found = Client().list_run_steps(
        pipeline_run_id=run_id, size=1000, hydrate=True, exclude_retried=True, sort_by="asc:version"
    )
    return {step.name: step for step in found.items}


def latest_step(run_id: UUID, name: str) -> StepRunResponse | None:
    """The latest record of one step of a run, or ``None``."""
    from zenml.client import Client

    found = Client().list_run_steps(
        pipeline_run_id=run_id, name=name, size=1, hydrate=True, exclude_retried=True, sort_by="desc:version"
    )
    return found.items[0] if found.items else None


def adopt_step(run: PipelineRunResponse, source: StepRunResponse) -> None:
    """Record in ``run`` that a step's outputs are those of an earlier record."""
    from zenml.client import Client
    from zenml.enums import ExecutionStatus
    from zenml.models import StepRunRequest
    from zenml.orchestrators.step_run_utils import publish_cached_step_run
    from zenml.utils.time_utils import utc_now

    now = utc_now()
    _tolerating_a_twin(
        publish_cached_step_run,
        StepRunRequest(
            name=source.name,
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


def skip_step(run: PipelineRunResponse, name: str) -> StepRunResponse:
    """Record in ``run`` that a step was left out on purpose; return the record."""
    from zenml.client import Client
    from zenml.enums import ExecutionStatus
    from zenml.models import StepRunRequest
    from zenml.utils.time_utils import utc_now

    client = Client()
    now = utc_now()
    _tolerating_a_twin(
        client.zen_store.create_run_step,
        StepRunRequest(
            name=name,
            pipeline_run_id=run.id,
            project=client.active_project.id,
            status=ExecutionStatus.SKIPPED,
            start_time=now,
            end_time=now,
        ),
    )
    recorded = latest_step(run.id, name)
    if recorded is None:
        raise RecordsError(f"ZenML did not record the skipped step {name!r} in run {run.id}.")
    return recorded


def _tolerating_a_twin(create: Any, *arguments: Any, **keywords: Any) -> None:
    """Call ``create``; a task of the same attempt that has just written the same record is no error."""
    from zenml.exceptions import EntityExistsError

    try:
        create(*arguments, **keywords)
    except EntityExistsError:
        return


def mark_stopping(run_id: UUID, steps: Sequence[str], reason: str) -> None:
    """Say in ZenML that a run is being stopped: the named steps at once, the run as a whole.

    ZenML then records the end of these steps as ``stopped``, whatever ends them.
    """
    from zenml.client import Client
    from zenml.enums import ExecutionStatus
    from zenml.models import StepRunUpdate

    # Airflow leaves five seconds: only what is needed is asked for.
    _request_stopping(run_id, reason)
    store = Client().zen_store
    running = Client().list_run_steps(pipeline_run_id=run_id, status=ExecutionStatus.RUNNING, hydrate=False)
    for step in running.items:
        if step.name in steps:
            store.update_run_step(step.id, StepRunUpdate(status=ExecutionStatus.STOPPING))


def close_run(run_id: UUID, reason: str | None, *, spare_running: Sequence[str] = ()) -> str:
    """End a run that nothing works on any more; return its status afterwards.

    Args:
        reason: Why, for people who read the record; ``None`` where the record says so already.
        spare_running: Steps that another task may be at work on: these are left to it.
    """
    from zenml.client import Client
    from zenml.enums import ExecutionStatus
    from zenml.exceptions import IllegalOperationError
    from zenml.orchestrators.publish_utils import publish_stopped_step_run

    if reason is not None:
        _request_stopping(run_id, reason)
    for name, step in latest_steps(run_id).items():
        alive = name in spare_running and step.status != ExecutionStatus.RETRYING
        if not step.status.is_finished and not alive:
            # The process that is being stopped may record its end at this very moment.
            with suppress(IllegalOperationError):
                publish_stopped_step_run(step.id)
    return str(Client().get_pipeline_run(run_id, hydrate=False).status.value)


def _request_stopping(run_id: UUID, reason: str) -> None:
    from zenml.enums import ExecutionStatus
    from zenml.exceptions import IllegalOperationError
    from zenml.orchestrators.publish_utils import publish_pipeline_run_status_update

    try:
        publish_pipeline_run_status_update(run_id, ExecutionStatus.STOPPING, status_reason=reason)
    except IllegalOperationError:
        # It has ended in the meantime.
        return


def fail_run(run_id: UUID, steps: Sequence[str], reason: str) -> None:
    """Record that a run has failed with the last try of some steps, where no step's record says so."""
    from zenml.client import Client
    from zenml.enums import ExecutionStatus
    from zenml.orchestrators.publish_utils import publish_pipeline_run_status_update, publish_stopped_step_run

    if not Client().get_pipeline_run(run_id, hydrate=False).status.is_finished:
        publish_pipeline_run_status_update(run_id, ExecutionStatus.FAILED, status_reason=reason)
    for name, step in latest_steps(run_id).items():
        # No further try will come: ZenML would wait for it for ever.
        if name in steps and step.status == ExecutionStatus.RETRYING:
            publish_stopped_step_run(step.id)
