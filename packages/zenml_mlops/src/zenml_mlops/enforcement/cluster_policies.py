"""Airflow's cluster policies: platform rules that no DAG file can leave out.

Airflow finds this module by its entry point ``airflow.policy`` and loads it once in each of its processes. A DAG
or a task that breaks an enforced policy is an import error of its file, with the policy's id and the way out. A
task that was stored before a policy existed, or by a DAG processor without it, is sent to a pool without slots.
"""

from __future__ import annotations

import ast
import logging
from datetime import datetime
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow import settings
from airflow.exceptions import AirflowClusterPolicyViolation
from airflow.policies import hookimpl

from zenml_mlops.enforcement.started_for import STARTED_FOR
from zenml_mlops.policy.engine import Assessment, PolicyViolationError, judge
from zenml_mlops.policy.facts import DagFacts, Subject, TaskFacts
from zenml_mlops.policy.schema import load_policies
from zenml_mlops.policy.waivers import load_waivers

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance

log = logging.getLogger(__name__)

REFUSED_POOL = "refused_by_policy"
"""Pool of task instances that a policy refuses. It does not exist, so Airflow's scheduler starts none of them."""

_LOOK_AHEAD = 60

# Once in the process that forks the others, and an error of the platform's files where Airflow starts.
load_waivers(load_policies())
# Airflow asks the hook about new task instances only if this says so, and sets it only for airflow_local_settings.
settings.task_instance_mutation_hook.is_noop = False  # type: ignore[attr-defined]


@hookimpl
def dag_policy(dag: Any) -> None:
    """Refuse a DAG that breaks an enforced policy.

    Raises:
        AirflowClusterPolicyViolation: With every violation and the way out.
    """
    _enforce(describe_dag(dag), f"DAG {dag.dag_id!r}")


@hookimpl
def task_policy(task: Any) -> None:
    """Refuse a task that breaks an enforced policy.

    Raises:
        AirflowClusterPolicyViolation: With every violation and the way out.
    """
    _enforce(describe_task(task), f"Task {task.task_id!r}")


@hookimpl
def task_instance_mutation_hook(task_instance: TaskInstance, dag_run: DagRun | None) -> None:  # noqa: ARG001
    """Keep a task instance from running if an enforced policy refuses its task."""
    assessment = _judge(describe_task(task_instance.task))
    if assessment.blocking and task_instance.pool != REFUSED_POOL:
        task_instance.pool = REFUSED_POOL
        log.error(
            "Task instance %s of DAG %s is not started: %s",
            task_instance.task_id,
            task_instance.dag_id,
            assessment.explain(),
        )


def describe_dag(dag: Any) -> DagFacts:
    """Describe a DAG as its file made it."""
    said = _arguments_in_file(Path(dag.fileloc)) if dag.fileloc else frozenset()
    timetable = dag.timetable
    return DagFacts(
        name=dag.dag_id,
        owner=", ".join(sorted({task.owner for task in dag.tasks})),
        tags=tuple(sorted(dag.tags)),
        max_active_runs=dag.max_active_runs,
        limits_runs="max_active_runs" in said,
        states_catchup="catchup" in said,
        failure_callback=bool(dag.on_failure_callback)
        or bool(dag.tasks and all(task.on_failure_callback for task in dag.tasks)),
        schedule=_schedule(timetable),
        interval_seconds=_shortest_interval(timetable),
    )


def describe_task(task: Any) -> TaskFacts:
    """Describe a task, freshly parsed or as Airflow stored it."""
    limits = [getattr(task, "execution_timeout", None), getattr(task, "timeout", None)]
    module = getattr(task, "_task_module", None) or type(task).__module__
    return TaskFacts(
        dag=task.dag_id,
        name=task.task_id,
        operator=f"{module}.{task.task_type}",
        pool=task.pool,
        limit_seconds=min((_seconds(limit) for limit in limits if limit is not None), default=None),
        limit_known=not _stored_sensor(task),
        text=" ".join(str(getattr(task, field, "")) for field in task.template_fields),
    )


def _stored_sensor(task: Any) -> bool:
    """Whether a task is a sensor as Airflow stored it: its ``timeout`` is not among the fields that are kept."""
    from airflow.serialization.definitions.baseoperator import SerializedBaseOperator
    from airflow.serialization.definitions.mappedoperator import SerializedMappedOperator
    from airflow.ti_deps.deps.ready_to_reschedule import ReadyToRescheduleDep

    if isinstance(task, SerializedMappedOperator):
        return task._is_sensor
    # Of an operator that is not mapped, the rule that only sensors obey is all that tells.
    return isinstance(task, SerializedBaseOperator) and any(
        isinstance(dep, ReadyToRescheduleDep) for dep in task.deps
    )


def _enforce(facts: Subject, what: str) -> None:
    assessment = _judge(facts)
    for verdict in assessment.warnings:
        log.info("policy %s (%s): %s", verdict.policy, verdict.subject, verdict.message)
    try:
        assessment.enforce(f"{what} in environment {STARTED_FOR!r}")
    except PolicyViolationError as error:
        raise AirflowClusterPolicyViolation(str(error)) from None


def _judge(facts: Subject) -> Assessment:
    return judge([facts], STARTED_FOR)


def _seconds(limit: Any) -> float:
    return float(limit.total_seconds() if hasattr(limit, "total_seconds") else limit)


@cache
def _arguments_in_file(path: Path) -> frozenset[str]:
    """Names of the arguments that a DAG file gives to ``DAG(...)`` or ``@dag(...)`` itself."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError):
        return frozenset()
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return frozenset(
        keyword.arg
        for call in calls
        if getattr(call.func, "id", getattr(call.func, "attr", "")) in {"DAG", "dag"}
        for keyword in call.keywords
        if keyword.arg
    )


def _schedule(timetable: Any) -> str | None:
    if not getattr(timetable, "can_be_scheduled", True):
        return None
    return str(
        getattr(timetable, "expression", None) or getattr(timetable, "delta", None) or type(timetable).__name__
    )


def _shortest_interval(timetable: Any) -> float | None:
    """Shortest time between two of the next runs, seconds; ``None`` for a schedule that is not one in time."""
    delta = getattr(timetable, "delta", None)
    if delta is not None:
        now = datetime(2026, 1, 1)
        return float(((now + delta) - now).total_seconds())
    expression = getattr(timetable, "expression", None)
    if not expression:
        return None
    from croniter import croniter

    cron = croniter(expression, datetime(2026, 1, 1))
    times = [cron.get_next(datetime) for _ in range(_LOOK_AHEAD)]
    return float(min((later - earlier).total_seconds() for earlier, later in pairwise(times)))
