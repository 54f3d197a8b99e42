"""Find ZenML runs that are still open although their Airflow run has ended, and close them with the reason.

A task whose process was killed outright cannot say goodbye, and Airflow calls nobody back. What Airflow knows of
a DAG run is asked through a function, so that the command line (REST API) and a maintenance DAG (task SDK) share
this module. ZenML is imported inside the functions: the module is named by code that Airflow parses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from zenml_airflow.runtime.records import (
    RunKey,
    adopt_step,
    close_run,
    latest_source,
    latest_steps,
    runs_of_dag_run,
)

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse

PAGE = 200


class AirflowState(StrEnum):
    """What became of a DAG run."""

    ACTIVE = "active"
    SUCCESS = "success"
    FAILED = "failed"
    GONE = "gone"
    """Airflow has no such run: it was deleted."""

    @classmethod
    def of(cls, state: str | None) -> AirflowState:
        """Read Airflow's own word for the state of a DAG run; ``None`` where there is no run."""
        if state is None:
            return cls.GONE
        return cls(state) if state in {cls.SUCCESS, cls.FAILED} else cls.ACTIVE


class Closed(BaseModel):
    """A ZenML run that was closed, or would be.

    Attributes:
        now: Its status afterwards, or in a dry run the one it would most likely have.
    """

    model_config = ConfigDict(frozen=True)

    run_id: str
    name: str
    was: str
    now: str
    reason: str


def reconcile(state_of: Callable[[str, str], AirflowState], *, dry_run: bool = False) -> Iterator[Closed]:
    """Close every open ZenML run, or failed run with an open step, whose Airflow run has ended; yield each.

    A run whose DAG run succeeded, and whose missing steps other attempts of it have completed, is completed with
    their records; every other one is recorded as stopped.

    Args:
        state_of: Says what became of a DAG run, by DAG id and run id.
    """
    for run in list(_open_runs()):
        key = RunKey.parse(run.orchestrator_run_id)
        dag_id, dag_run_id = run.run_metadata.get("dag_id"), run.run_metadata.get("dag_run_id")
        if key is None or not dag_id or not dag_run_id:
            # Not a run of this bridge.
            continue
        state = state_of(str(dag_id), str(dag_run_id))
        if state is AirflowState.ACTIVE:
            continue
        reason = _reason(state, str(dag_id), str(dag_run_id))
        was = run.status.value
        now = was
        if dry_run:
            now = "stopped"
        else:
            if state is AirflowState.SUCCESS:
                now = _complete(run, key)
            if now == was:
                # Also where the run has failed long ago and only a step's record is open.
                now = close_run(run.id, reason)
        yield Closed(run_id=str(run.id), name=run.name, was=was, now=now, reason=reason)


def _reason(state: AirflowState, dag_id: str, dag_run_id: str) -> str:
    if state is AirflowState.GONE:
        return f"Airflow no longer has run {dag_run_id!r} of {dag_id!r}"
    return f"Airflow's run {dag_run_id!r} of {dag_id!r} has ended: {state.value}"


def _open_runs() -> Iterator[PipelineRunResponse]:
    from zenml.client import Client
    from zenml.utils.pagination_utils import depaginate_stream

    runs = Client().list_pipeline_runs
    for run in depaginate_stream(runs, in_progress=True, size=PAGE, hydrate=True, sort_by="created"):
        steps = latest_steps(run.id).values()
        if not run.status.is_finished or any(not step.status.is_finished for step in steps):
            yield run


def _complete(run: PipelineRunResponse, key: RunKey) -> str:
    """Fill in the steps that other attempts of the DAG run have completed; return the run's status."""
    from zenml.client import Client

    present = latest_steps(run.id)
    missing = [name for name in (run.snapshot.step_configurations if run.snapshot else {}) if name not in present]
    if not missing or any(not step.status.is_successful for step in present.values()):
        return str(run.status.value)
    dag_run_key = f"{run.run_metadata['dag_id']}/{run.run_metadata['dag_run_id']}/"
    others = []
    for other in runs_of_dag_run(dag_run_key):
        parsed = RunKey.parse(other.orchestrator_run_id)
        if other.id != run.id and parsed is not None and parsed.group_id == key.group_id:
            others.append(other)
    sources = [source for source in (latest_source(others, name) for name in missing) if source is not None]
    if len(sources) == len(missing):
        for source in sources:
            adopt_step(run, source)
    return str(Client().get_pipeline_run(run.id, hydrate=False).status.value)
