"""Rules about DAGs and their tasks, judged when Airflow parses them."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch

from pydantic import Field

from zenml_mlops.policy.facts import DagFacts, TaskFacts
from zenml_mlops.policy.rules.registry import NoParameters, Parameters, rule


class DagOwnerParameters(Parameters):
    """Owners that say nothing."""

    refused: tuple[str, ...]


@rule
def dag_owner(facts: DagFacts, parameters: DagOwnerParameters) -> Iterator[str]:
    """A DAG has an owner who can be asked."""
    owners = {owner.strip() for owner in facts.owner.split(",")}
    if not facts.owner.strip() or owners & set(parameters.refused):
        yield f"its owner is {facts.owner!r}: name a team under default_args"


class DagTagParameters(Parameters):
    """How many tags a DAG must have at least."""

    minimum: int = Field(gt=0)


@rule
def dag_tags(facts: DagFacts, parameters: DagTagParameters) -> Iterator[str]:
    """A DAG can be found by its tags."""
    if len(facts.tags) < parameters.minimum:
        yield f"it has {len(facts.tags)} tags, at least {parameters.minimum} are asked for"


class ActiveRunParameters(Parameters):
    """The most runs of one DAG at once."""

    maximum: int = Field(gt=0)


@rule
def dag_active_runs(facts: DagFacts, parameters: ActiveRunParameters) -> Iterator[str]:
    """A backfill of one DAG leaves room for the others."""
    if not facts.limits_runs:
        yield "its file does not say max_active_runs"
    if facts.max_active_runs > parameters.maximum or facts.max_active_runs < 1:
        yield f"it allows {facts.max_active_runs} active runs, at most {parameters.maximum}"


@rule
def dag_catchup(facts: DagFacts, _parameters: NoParameters) -> Iterator[str]:
    """Whether missed runs are made up for is decided by a person, not by a default that may change."""
    if facts.schedule is not None and not facts.states_catchup:
        yield "its file does not say catchup=True or catchup=False"


@rule
def dag_callbacks(facts: DagFacts, _parameters: NoParameters) -> Iterator[str]:
    """Somebody is notified when a run fails."""
    if not facts.failure_callback:
        yield "it has no on_failure_callback"


class ScheduleParameters(Parameters):
    """The shortest allowed time between two runs, in seconds."""

    minimum_seconds: float = Field(gt=0)


@rule
def dag_schedule(facts: DagFacts, parameters: ScheduleParameters) -> Iterator[str]:
    """No DAG runs more often than the platform can carry."""
    if facts.interval_seconds is not None and facts.interval_seconds < parameters.minimum_seconds:
        yield (
            f"it runs every {facts.interval_seconds:g} s ({facts.schedule}), at most every "
            f"{parameters.minimum_seconds:g} s"
        )


class OperatorParameters(Parameters):
    """Globs of allowed operators and pools, and texts that no task may hold."""

    operators: tuple[str, ...]
    pools: tuple[str, ...]
    refused_text: tuple[str, ...] = ()


@rule
def task_operator(facts: TaskFacts, parameters: OperatorParameters) -> Iterator[str]:
    """Tasks use operators and pools that the platform knows; none goes around the bridge."""
    if not any(fnmatch(facts.operator, glob) for glob in parameters.operators):
        yield f"it uses operator {facts.operator}, which is not among the allowed ones"
    if not any(fnmatch(facts.pool, glob) for glob in parameters.pools):
        yield f"it uses pool {facts.pool!r}; allowed: {list(parameters.pools)}"
    for text in parameters.refused_text:
        if text in facts.text:
            yield f"it calls {text!r} itself"


class TaskLimitParameters(Parameters):
    """The longest that a task may run, or a sensor may wait, in seconds."""

    maximum_seconds: float = Field(gt=0)


@rule
def task_limit(facts: TaskFacts, parameters: TaskLimitParameters) -> Iterator[str]:
    """No task holds a slot, or waits, without an end."""
    if facts.limit_seconds is None:
        # One that is not known was judged when its file was parsed.
        if facts.limit_known:
            yield "it has no execution_timeout"
    elif facts.limit_seconds > parameters.maximum_seconds:
        yield f"it may take {facts.limit_seconds:g} s, at most {parameters.maximum_seconds:g} s"
