"""What Airflow knows about the models: each day's partition, and the approvals that are pending.

Read from Airflow's database in the API server, for the DAGs that the user may read and no others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo

from airflow.models.dag import DagModel, DagTag
from airflow.models.dagrun import DagRun
from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from airflow.utils.state import DagRunState, TaskInstanceState
from pydantic import AwareDatetime
from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from zenml_airflow.contracts.frozen import Frozen
from zenml_airflow.manifest.manifest import pipeline_tag
from zenml_airflow.promotion.subject import ApprovalSubject
from zenml_airflow.run_date import DATE_PARAM

MOST_RUNS: Final = 2000
"""Runs of one pipeline that are read: weeks of days, each triggered by hand dozens of times."""

MOST_APPROVALS: Final = 100

_OPEN_STATES: Final = (TaskInstanceState.DEFERRED, TaskInstanceState.AWAITING_INPUT)
"""States of a task that waits for an answer; one that has ended any other way is not answered any more."""

Permission = Callable[[str], bool]
"""Whether the user has permission to see something of a DAG."""


class DayState(StrEnum):
    """What became of the partition of a day."""

    SCORED = "scored"
    RUNNING = "running"
    FAILED = "failed"
    MISSING = "missing"
    """No run was for that day."""

    @classmethod
    def of(cls, states: Collection[str]) -> DayState:
        """Sum up the runs of a day: a later failure leaves the partition of an earlier run in place."""
        if DagRunState.SUCCESS in states:
            return cls.SCORED
        if not states:
            return cls.MISSING
        return cls.FAILED if set(states) == {DagRunState.FAILED.value} else cls.RUNNING


class RunRef(Frozen):
    """A DAG run."""

    dag_id: str
    run_id: str


class PartitionDay(Frozen):
    """A day, what became of its partition, and the run that says so."""

    day: date
    state: DayState
    run: RunRef | None


class ShownDag(Frozen):
    """A DAG that writes partitions."""

    dag_id: str
    paused: bool


class Partitions(Frozen):
    """The partitions of a pipeline.

    Attributes:
        dags: The DAGs that run it, as far as the user may see them; empty if there is none.
        days: The days, the oldest first; empty without a DAG.
    """

    pipeline: str
    dags: tuple[ShownDag, ...]
    days: tuple[PartitionDay, ...]


class PendingApproval(Frozen):
    """A required action that asks whether a version may enter a stage.

    Attributes:
        asked: Names of the people who may answer; empty if anybody may.
    """

    model: str
    version: int
    stage: str
    run: RunRef
    task_id: str
    asked_at: AwareDatetime
    asked: tuple[str, ...]


def read_partitions(
    session: Session, pipeline: str, days: Sequence[date], zone: ZoneInfo, permitted: Permission
) -> Partitions:
    """Read what became of a pipeline's partitions."""
    dags = [dag for dag in _dags(session, pipeline) if permitted(dag.dag_id)]
    if not dags or not days:
        return Partitions(pipeline=pipeline, dags=tuple(dags), days=())
    runs = _runs(session, [dag.dag_id for dag in dags], days, zone)
    return Partitions(
        pipeline=pipeline, dags=tuple(dags), days=tuple(_day(day, runs.get(day, ())) for day in days)
    )


def read_pending_approvals(session: Session, permitted: Permission) -> list[PendingApproval]:
    """Read the pending approvals of model versions, the oldest first."""
    asked = (
        select(
            HITLDetail.subject,
            HITLDetail.assignees,
            HITLDetail.created_at,
            TaskInstance.dag_id,
            TaskInstance.run_id,
            TaskInstance.task_id,
        )
        .join(TaskInstance, HITLDetail.ti_id == TaskInstance.id)
        .where(HITLDetail.responded_at.is_(None), TaskInstance.state.in_(_OPEN_STATES))
        .order_by(HITLDetail.created_at)
        .limit(MOST_APPROVALS)
    )
    found = []
    for subject, assignees, created, dag_id, run_id, task_id in session.execute(asked):
        approval = ApprovalSubject.parse(subject)
        if approval is not None and permitted(dag_id):
            found.append(
                PendingApproval(
                    model=approval.model,
                    version=approval.version,
                    stage=approval.stage,
                    run=RunRef(dag_id=dag_id, run_id=run_id),
                    task_id=task_id,
                    asked_at=created,
                    asked=tuple(str(person["name"]) for person in assignees or ()),
                )
            )
    return found


def _dags(session: Session, pipeline: str) -> list[ShownDag]:
    """The DAGs that place a pipeline, by their tag."""
    placed = (
        select(DagModel.dag_id, DagModel.is_paused)
        .join(DagTag, DagTag.dag_id == DagModel.dag_id)
        .where(DagTag.name == pipeline_tag(pipeline), DagModel.is_stale.is_(False))
        .order_by(DagModel.dag_id)
    )
    return [ShownDag(dag_id=dag_id, paused=paused) for dag_id, paused in session.execute(placed)]


def _runs(
    session: Session, dag_ids: Sequence[str], days: Sequence[date], zone: ZoneInfo
) -> dict[date, list[tuple[RunRef, str]]]:
    """The runs of each day with their states, the oldest first.

    A run without a logical date is for the day that its ``date`` param names or else for the one on which it was
    due, as its tasks take it, see :mod:`zenml_airflow.run_date`.
    """
    begin = datetime.combine(days[0], time.min, zone)
    end = datetime.combine(days[-1] + timedelta(days=1), time.min, zone)
    of_these_days = or_(
        and_(DagRun.logical_date >= begin, DagRun.logical_date < end),
        # It may be for a day long before it; never for a later one.
        and_(DagRun.logical_date.is_(None), DagRun.run_after >= begin),
    )
    chosen = (
        select(DagRun.dag_id, DagRun.run_id, DagRun.state, DagRun.logical_date, DagRun.run_after, DagRun.conf)
        .where(DagRun.dag_id.in_(dag_ids), of_these_days)
        .order_by(DagRun.run_after.desc())
        .limit(MOST_RUNS)
    )
    found: dict[date, list[tuple[RunRef, str]]] = {}
    for dag_id, run_id, state, logical, due, conf in reversed(list(session.execute(chosen))):
        day = _requested_date(conf) if logical is None else None
        day = day or (logical or due).astimezone(zone).date()
        found.setdefault(day, []).append((RunRef(dag_id=dag_id, run_id=run_id), str(state)))
    return found


def _requested_date(conf: Any) -> date | None:
    """The day that a run was triggered for; a run with nonsense there has failed, on the day of its trigger."""
    named = conf.get(DATE_PARAM) if isinstance(conf, dict) else None
    try:
        return date.fromisoformat(str(named)) if named else None
    except ValueError:
        return None


def _day(day: date, runs: Iterable[tuple[RunRef, str]]) -> PartitionDay:
    known = list(runs)
    state = DayState.of([one for _, one in known])
    # The run that speaks for the day: the latest of those that ended, or not, as the day did.
    speaking = [run for run, one in known if DayState.of([one]) is state]
    return PartitionDay(day=day, state=state, run=speaking[-1] if speaking else None)
