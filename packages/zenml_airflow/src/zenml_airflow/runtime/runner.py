"""Run steps of a snapshot in this process, as one attempt of one Airflow DAG run.

ZenML is imported inside the functions: the module is named by operators that Airflow parses.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from zenml_airflow.client.run_urls import TRACKER_RUN, run_links
from zenml_airflow.context import RunContext, run_context
from zenml_airflow.contracts.frozen import Frozen
from zenml_airflow.runtime import records
from zenml_airflow.runtime.active_stack import active_stack
from zenml_airflow.runtime.code_archive import activate_code, fetch_code
from zenml_airflow.runtime.preload import (
    activate_integrations_when_needed,
    import_apart_from_airflow,
    know_installed_packages,
)
from zenml_airflow.runtime.stopping import StepsStoppedError, StopRequested, stoppable

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse, PipelineSnapshotResponse, StackResponse, StepRunResponse

    from zenml_airflow.runtime.stopping import Work

log = logging.getLogger(__name__)


class StepFailedError(RuntimeError):
    """A step left no record of success."""


class StepsRequest(Frozen):
    """Which steps of which snapshot to run.

    Attributes:
        group_id: The task group that places the pipeline; two groups in one DAG are two ZenML runs.
        code_digest: sha256 of the code archive to run from.
        steps: Invocation ids in topological order.
        placed: All steps that the task group places; the others of the pipeline are skipped.
        kept: Steps whose Airflow tasks stand as succeeded and are not run again in this attempt.
        last_try: Whether Airflow will not try again after a failure.
        shard: Number of the shard to work on, of the one step; the steps themselves by default.
        tracker_url: Address at which people open MLflow, where it is not the tracker's own.
    """

    group_id: str
    snapshot_id: str
    code_digest: str
    steps: tuple[str, ...]
    placed: tuple[str, ...]
    kept: tuple[str, ...] = ()
    last_try: bool = False
    tracker_url: str | None = None
    shard: int | None = None


class StepsResult(BaseModel):
    """What ZenML recorded.

    Attributes:
        steps: Status by step, as ZenML's store has it.
    """

    model_config = ConfigDict(frozen=True)

    run_id: str
    run_name: str
    snapshot_id: str
    steps: dict[str, str]
    metadata: dict[str, Any]
    links: dict[str, str] = {}


@dataclass(frozen=True)
class _Attempt:
    """The ZenML run of this attempt with the steps that are recorded in it, and what earlier runs have."""

    found: dict[str, StepRunResponse]
    snapshot: PipelineSnapshotResponse
    run: PipelineRunResponse
    history: records.RunHistory

    def source_of(self, step: str) -> StepRunResponse | None:
        return self.history.source_of(step, self.snapshot)

    def adopt(self, source: StepRunResponse) -> None:
        records.adopt_step(self.run, source)
        self.found[source.name] = source


def run_steps(request: StepsRequest, context: RunContext, *, code_cache: Path) -> StepsResult:
    """Run steps one after the other and return what ZenML recorded of them.

    A step that this attempt has completed already, in an earlier try of the task, is not run again. Outputs of
    steps upstream that this attempt did not run are taken from the latest attempt that did.

    Args:
        code_cache: Folder of unpacked code archives.

    Raises:
        StepFailedError: If ZenML holds no successful record of a step afterwards.
        StepsStoppedError: If Airflow stopped the task; ZenML's run is recorded as stopped.
        Exception: Whatever a step raises.
    """
    import_apart_from_airflow()
    from zenml.client import Client
    from zenml.execution.context import setup_execution_context
    from zenml.stack import Stack
    from zenml.utils import source_utils

    history = records.RunHistory.load(context, request.group_id)
    with _recording_the_end(request, history) as work:
        # A run keeps the version that it started with, should a newer one have been deployed since.
        own = history.current.snapshot if history.current else None
        snapshot = Client().zen_store.get_snapshot(own.id if own else UUID(request.snapshot_id))
        stack_model = _checked_stack(snapshot, request)
        stack = Stack.from_model(stack_model)
        digest = snapshot.pipeline_configuration.extra.get("code_digest", request.code_digest)
        code = fetch_code(digest, stack.artifact_store, code_cache)
        activate_code(code)
        source_utils.set_custom_source_root(str(code))
        activate_integrations_when_needed()
        know_installed_packages()
        with run_context(context), active_stack(stack_model.id):
            run, found = _enter_run(request, history, snapshot)
            work.run_id = run.id
            with setup_execution_context(pipeline_run=run):
                attempt = _Attempt(found, snapshot, run, history)
                _fill_in(request, attempt)
                if request.shard is not None:
                    (name,) = request.steps
                    return _result(run, [], context, request, {name: _run_shard(name, request.shard, attempt)})
                for name in request.steps:
                    found[name] = _run_one(name, attempt)
                _fill_in(request, attempt)
            return _result(run, [found[name] for name in request.steps], context, request)


@contextmanager
def _recording_the_end(request: StepsRequest, history: records.RunHistory) -> Iterator[Work]:
    """See to it that ZenML's run does not stay open when these steps end in another way than well."""
    with stoppable(request.steps) as work:
        work.run_id = history.current.id if history.current else None
        try:
            yield work
        except StopRequested as stop:
            if work.run_id is not None:
                records.close_run(work.run_id, str(stop), spare_running=_other_tasks(request))
            raise StepsStoppedError(f"Stopped: {stop}") from None
        except BaseException as error:
            if request.last_try and work.run_id is not None:
                records.fail_run(work.run_id, request.steps, f"{type(error).__name__}: {error}")
            if work.run_id is not None:
                # Who looks at the failed task wants to get to its run.
                error.zenml_links = _links(work.run_id, [], request)  # type: ignore[attr-defined]
            raise


def _checked_stack(snapshot: PipelineSnapshotResponse, request: StepsRequest) -> StackResponse:
    """Return the stack of a snapshot that has it and all requested steps."""
    if snapshot.stack is None:
        raise StepFailedError(f"Snapshot {snapshot.id} has no stack: it was deleted. Deploy again.")
    if unknown := sorted(set(request.steps) - set(snapshot.step_configurations)):
        raise StepFailedError(
            f"Snapshot {snapshot.name}, which this run started with, has no step {unknown}: the pipeline was "
            "deployed anew in the meantime. Clear the whole DAG run to run the new version."
        )
    return snapshot.stack


def _enter_run(
    request: StepsRequest, history: records.RunHistory, snapshot: PipelineSnapshotResponse
) -> tuple[PipelineRunResponse, dict[str, StepRunResponse]]:
    """Return the run to work in and its records."""
    from zenml.enums import ExecutionStatus

    for earlier in history.replaced():
        # Its process was killed before it had recorded that it was stopped.
        if earlier.status == ExecutionStatus.STOPPING:
            records.close_run(earlier.id, None, spare_running=_other_tasks(request))
    run = history.current
    done: list[StepRunResponse] = []
    if run is not None:
        found = records.latest_steps(run.id)
        # Airflow tries again what ZenML takes for ended: after a stop, or when ZenML's tries are used up.
        ended = {
            name
            for name in request.steps
            if name in found and found[name].status.is_finished and not found[name].status.is_successful
        }
        if not ended and run.status not in {ExecutionStatus.STOPPING, ExecutionStatus.STOPPED}:
            return run, found
        history.earlier.insert(0, run)
        # What this attempt has completed is not run again because of the new run.
        kept = {ExecutionStatus.COMPLETED, ExecutionStatus.CACHED}
        done = [
            found[name] for name in snapshot.step_configurations if name in found and found[name].status in kept
        ]
        log.info(
            "ZenML run %s has ended (%s): this attempt continues in a new run linked to it.", run.id, run.status
        )
    run = records.create_run(history, snapshot)
    for source in done:
        records.adopt_step(run, source)
    return run, records.latest_steps(run.id)


def _fill_in(request: StepsRequest, attempt: _Attempt) -> None:
    """Record the steps that no task of this attempt runs: those that stand as succeeded, and those left out.

    ZenML takes a step's record only where those of its upstream steps are, so each task fills in what it can.
    """
    found, steps = attempt.found, attempt.snapshot.step_configurations
    needed = {*request.placed, *_ancestors(request.placed, attempt.snapshot)}
    absent = [name for name in steps if name not in found]
    open_steps = [name for name in absent if name in request.kept or name not in needed]
    if not open_steps:
        return
    # Tasks beside this one may have filled in some in the meantime.
    found.update(records.latest_steps(attempt.run.id))
    for name in open_steps:
        if name in found or not set(steps[name].spec.upstream_steps) <= set(found):
            continue
        if name not in request.kept:
            found[name] = records.skip_step(attempt.run, name)
            continue
        if (source := attempt.source_of(name)) is not None:
            attempt.adopt(source)


def _other_tasks(request: StepsRequest) -> list[str]:
    """The steps that other tasks may be at work on."""
    return [name for name in request.placed if name not in request.steps]


def _run_one(name: str, attempt: _Attempt) -> StepRunResponse:
    """Run a step unless this attempt has completed it; return its record."""
    from zenml.execution.context import record_step_run
    from zenml.orchestrators.step_launcher import StepLauncher

    done, run, snapshot = attempt.found.get(name), attempt.run, attempt.snapshot
    if done is not None and done.status.is_successful:
        record_step_run(done)
        return done
    _reuse_upstream(name, attempt)
    step = snapshot.step_configurations[name]

    class Launcher(StepLauncher):
        def _should_register_signal_handler(self) -> bool:
            # ZenML's handler asks its store before it lets go, and Airflow kills after five seconds.
            return False

    Launcher(snapshot=snapshot, step=step, orchestrator_run_id=str(run.orchestrator_run_id)).launch()
    recorded = records.latest_step(run.id, name)
    if recorded is None or not recorded.status.is_successful:
        status = recorded.status.value if recorded else "no record"
        raise StepFailedError(f"Step {name!r} returned, but ZenML holds {status} for it in run {run.id}.")
    return recorded


def _run_shard(name: str, shard: int, attempt: _Attempt) -> str:
    """Work on one shard of a step, which gathers the shards when its own turn comes; return what came of it.

    ZenML knows one record of a step in a run: a shard has none of its own, its storage says what it did.
    """
    _reuse_upstream(name, attempt)
    step = attempt.snapshot.step_configurations[name]
    module, _, function = step.config.extra["airflow"]["shards"].partition(":")
    inputs = {}
    for argument, specs in step.spec.normalized_inputs.items():
        (spec,) = specs
        (artifact,) = attempt.found[spec.step_name].outputs[spec.output_name]
        inputs[argument] = artifact.load()
    work = getattr(importlib.import_module(module), function)
    return str(work(shard=shard, run_id=str(attempt.run.id), **inputs, **step.config.parameters))


def _reuse_upstream(name: str, attempt: _Attempt) -> None:
    """Record, in this attempt, the upstream steps that only an earlier attempt has run.

    Raises:
        StepFailedError: If no attempt has.
    """
    for ancestor in _ancestors((name,), attempt.snapshot):
        if ancestor in attempt.found:
            continue
        source = attempt.source_of(ancestor)
        if source is None:
            raise StepFailedError(
                f"Step {name!r} needs the output of {ancestor!r}, and no attempt of "
                f"{attempt.history.context.dag_run_id!r} has completed it: run {ancestor!r} too (clear its task, "
                "or select it in the DAG file)."
            )
        attempt.adopt(source)


def _ancestors(names: tuple[str, ...], snapshot: PipelineSnapshotResponse) -> list[str]:
    """All steps upstream of some steps, the furthest first."""
    steps = snapshot.step_configurations
    wanted: set[str] = set()
    pending = [up for name in names if name in steps for up in steps[name].spec.upstream_steps]
    while pending:
        current = pending.pop()
        if current not in wanted:
            wanted.add(current)
            pending.extend(steps[current].spec.upstream_steps)
    # ZenML keeps the steps in topological order.
    return [step for step in steps if step in wanted]


def _result(
    run: PipelineRunResponse,
    steps: list[StepRunResponse],
    context: RunContext,
    request: StepsRequest,
    shard: dict[str, str] | None = None,
) -> StepsResult:
    from zenml.client import Client

    fresh = Client().get_pipeline_run(run.id, hydrate=True)
    from_context = records.context_metadata(context)
    return StepsResult(
        run_id=str(run.id),
        run_name=run.name,
        snapshot_id=str(fresh.snapshot.id) if fresh.snapshot else "",
        steps=shard or {step.name: step.status.value for step in steps},
        metadata={key: value for key, value in fresh.run_metadata.items() if key not in from_context},
        links=_links(run.id, steps, request),
    )


def _links(run_id: UUID, steps: list[StepRunResponse], request: StepsRequest) -> dict[str, str]:
    from zenml.client import Client
    from zenml.enums import StoreType

    store = Client().zen_store
    server = store.url if store.type == StoreType.REST else None
    tracked = next((step.run_metadata for step in steps if TRACKER_RUN in step.run_metadata), None)
    return run_links(str(run_id), server, tracked, tracker_ui=request.tracker_url)
