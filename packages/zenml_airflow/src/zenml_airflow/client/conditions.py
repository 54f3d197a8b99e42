"""What a sensor waits for in ZenML: a finished pipeline run, or a version of a model.

A condition says what it must read and judges what it got; it reads nothing itself. So one and the same judgement
serves a task that asks with a plain HTTP client, a trigger that asks without blocking, and the local store. This
module imports neither Airflow nor ZenML: the triggerer loads it, and an Airflow image need not have ZenML.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any, Self, cast
from uuid import UUID

from pydantic import Field, ValidationError, model_validator

from zenml_airflow.contracts.frozen import Frozen
from zenml_airflow.contracts.problems import describe

PAGE_SIZE = 50
"""Records of one answer; ZenML's own limit is 10,000, and a record of a run is large."""

Record = Mapping[str, Any]
"""A record of ZenML as its REST API writes it: ``id``, ``name``, ``body``, ``metadata``, ``resources``."""


class ConditionError(ValueError):
    """A condition names nothing to wait for, or names it in two ways."""


class Entity(StrEnum):
    """What can be read; the value is the path of ZenML's REST API."""

    PIPELINE_RUN = "runs"
    MODEL = "models"
    MODEL_VERSION = "model_versions"
    ARTIFACT_VERSION = "artifact_versions"


@dataclass(frozen=True)
class Query:
    """One query to ZenML.

    Attributes:
        filters: ZenML's filters; the REST API and the local store know the same ones.
    """

    entity: Entity
    filters: Mapping[str, Any]


class RunStatus(StrEnum):
    """ZenML's ``ExecutionStatus``, whose own Enum is not installed where sensors may run."""

    INITIALIZING = "initializing"
    PROVISIONING = "provisioning"
    QUEUED = "queued"
    RUNNING = "running"
    FAILED = "failed"
    COMPLETED = "completed"
    CACHED = "cached"
    SKIPPED = "skipped"
    RETRYING = "retrying"
    RETRIED = "retried"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    PAUSED = "paused"
    RESUMING = "resuming"
    STOPPED = "stopped"
    STOPPING = "stopping"

    @property
    def is_finished(self) -> bool:
        """Whether the run will not change any more."""
        unsuccessful = {RunStatus.FAILED, RunStatus.RETRIED, RunStatus.CANCELLED, RunStatus.STOPPED}
        return self.is_successful or self in unsuccessful

    @property
    def is_successful(self) -> bool:
        """Whether the run ended well."""
        return self in {RunStatus.COMPLETED, RunStatus.CACHED, RunStatus.SKIPPED}


class ModelStage(StrEnum):
    """Stages that one version of a model at a time can hold; all older versions may be archived."""

    STAGING = "staging"
    PRODUCTION = "production"
    ARCHIVED = "archived"


class Outcome(StrEnum):
    """How a condition stands."""

    WAITING = "waiting"
    """Not yet; look again."""
    MET = "met"
    FAILED = "failed"
    """It will not be met any more."""


@dataclass(frozen=True)
class Verdict:
    """The judgement of a condition.

    Attributes:
        found: What a sensor hands on: ids and names, small enough for an XCom.
    """

    outcome: Outcome
    message: str
    found: dict[str, Any] = field(default_factory=dict)

    @property
    def is_final(self) -> bool:
        """Whether looking again is of no use."""
        return self.outcome is not Outcome.WAITING


Inquiry = Generator[Query, list[Record], Verdict]
"""The course of an evaluation: yields queries, is sent the answers, returns the verdict."""


class Condition(Frozen):
    """What all conditions have in common."""

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Build a condition from values of which some may be empty.

        Raises:
            ConditionError: If it names nothing, or a value is wrong; all problems at once.
        """
        try:
            return cls.model_validate({key: value for key, value in values.items() if not _is_empty(value)})
        except ValidationError as error:
            raise ConditionError(f"The condition is ambiguous: {describe(error, 'condition')}.") from None

    @staticmethod
    def problem(given: Collection[str]) -> str | None:
        """What is wrong with the choice of attributes, whatever their values; a template has no value yet."""
        raise NotImplementedError

    def inquire(self) -> Inquiry:
        """The course of the judgement."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _is_clear(self) -> Self:
        if problem := self.problem({name for name, value in self if not _is_empty(value)}):
            raise ValueError(problem)
        return self


class PipelineRunCondition(Condition):
    """A pipeline run has finished.

    Named by its id, or as the latest run of a pipeline that belongs to a DAG run, a day, or tags. The latest,
    because clearing a DAG run makes a new ZenML run that takes the place of the one before.

    Attributes:
        external_dag_run_id: DAG run that the run belongs to; needs ``external_dag_id``, as two DAGs on one
            schedule share run ids.
        logical_date: Day that the run is for, in the time zone of the environment.
        tags: Tags that the run carries, all of them.
    """

    run_id: UUID | None = None
    pipeline: str | None = Field(default=None, min_length=1)
    external_dag_id: str | None = Field(default=None, min_length=1)
    external_dag_run_id: str | None = Field(default=None, min_length=1)
    logical_date: date | None = None
    tags: tuple[str, ...] = ()

    @staticmethod
    def problem(given: Collection[str]) -> str | None:
        """What is wrong with the choice of attributes, whatever their values; a template has no value yet."""
        narrowing = {"external_dag_run_id", "logical_date", "tags"}
        if "run_id" in given:
            surplus = sorted(set(given) - {"run_id"})
            return f"run_id names the run by itself: {surplus} would have no effect" if surplus else None
        if "pipeline" not in given:
            return "name the run with run_id, or its pipeline"
        if not narrowing & set(given):
            return f"name the run by one of {sorted(narrowing)} too: any earlier run of the pipeline would do"
        if "external_dag_run_id" in given and "external_dag_id" not in given:
            return "external_dag_run_id needs external_dag_id: two DAGs on one schedule share run ids"
        return None

    def inquire(self) -> Inquiry:
        """Find the run and judge its status."""
        key = f"{self.external_dag_id}/{self.external_dag_run_id}/" if self.external_dag_run_id else ""
        runs = yield Query(Entity.PIPELINE_RUN, self._filters(key))
        # ZenML searches with LIKE, which takes the underscores of a DAG id for wildcards.
        run = next((one for one in runs if (part(one, "orchestrator_run_id") or "").startswith(key)), None)
        if run is None and self.run_id:
            return Verdict(Outcome.FAILED, f"ZenML has no pipeline run {self.run_id}: it was deleted.")
        if run is None:
            return Verdict(Outcome.WAITING, f"{self._subject()} has no ZenML run yet.")
        return self._judge(run)

    def _filters(self, key: str) -> dict[str, Any]:
        common = {"sort_by": "desc:created", "size": PAGE_SIZE, "hydrate": True}
        if self.run_id:
            return {**common, "id": str(self.run_id)}
        tags = list(self.tags)
        if self.external_dag_id:
            tags.append(f"dag_id={self.external_dag_id}")
        if self.logical_date:
            tags.append(f"logical_date={self.logical_date.isoformat()}")
        filters = {**common, "pipeline": self.pipeline, "tags": tags}
        return {**filters, "orchestrator_run_id": f"startswith:{key}"} if key else filters

    def _subject(self) -> str:
        named = [
            f"{name} {value}"
            for name, value in self
            if name not in {"run_id", "pipeline"} and not _is_empty(value)
        ]
        return f"Pipeline {self.pipeline!r} ({', '.join(named)})"

    def _judge(self, run: Record) -> Verdict:
        status = RunStatus(part(run, "status"))
        found = {"run_id": run["id"], "name": run["name"], "status": status.value}
        subject = f"ZenML run {run['name']!r} ({run['id']})"
        if not status.is_finished:
            return Verdict(Outcome.WAITING, f"{subject} is {status}.", found)
        if status.is_successful:
            return Verdict(Outcome.MET, f"{subject} is {status}.", found)
        reason = part(run, "status_reason")
        return Verdict(
            Outcome.FAILED,
            f"{subject} ended with status {status}{f' ({reason})' if reason else ''}. Run the pipeline again, "
            "then clear this task.",
            found,
        )


class ModelVersionCondition(Condition):
    """A model has a version of a certain kind. Of several, the newest counts.

    Attributes:
        model: Name or id of the model; it need not exist yet.
        newer_than: Number that the version's own exceeds, or a stage: newer than the version that holds it, any
            version where none does.
        metadata: Values that are recorded on the version; a dotted key reaches into nested values.
    """

    model: str = Field(min_length=1)
    stage: ModelStage | None = None
    newer_than: int | ModelStage | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)

    @staticmethod
    def problem(given: Collection[str]) -> str | None:
        """What is wrong with the choice of attributes, whatever their values."""
        kinds = {"stage", "newer_than", "metadata"}
        if kinds & set(given):
            return None
        return f"name the version to wait for by one of {sorted(kinds)}: otherwise any version would match"

    def inquire(self) -> Inquiry:
        """Find the newest version that fits."""
        floor = self.newer_than
        if isinstance(floor, ModelStage):
            floor = yield from champion_of(self.model, floor)
        filters = {"stage": self.stage.value} if self.stage else {}
        if floor is not None:
            filters["number"] = f"gt:{floor}"
        page = 1
        while True:
            versions = yield version_query(self.model, page=page, **filters)
            for version in versions:
                recorded = part(version, "run_metadata") or {}
                if all(_holds(recorded, key, value) for key, value in self.metadata.items()):
                    message = f"{self._subject()}: version {version['name']} fits."
                    return Verdict(Outcome.MET, message, _named(version))
            if len(versions) < PAGE_SIZE:
                return Verdict(Outcome.WAITING, f"{self._subject()}: no version fits yet.")
            page += 1

    def _subject(self) -> str:
        wanted = [f"{name} {value}" for name, value in self if name != "model" and not _is_empty(value)]
        return f"Model {self.model!r} ({', '.join(wanted)})"


def version_query(model: str, *, page: int, **filters: Any) -> Query:
    """Ask for versions of a model with their metadata, newest first."""
    common = {"model": model, "sort_by": "desc:number", "page": page, "size": PAGE_SIZE, "hydrate": True}
    return Query(Entity.MODEL_VERSION, {**common, **filters})


def champion_of(model: str, stage: ModelStage) -> Generator[Query, list[Record], int | None]:
    """Number of the version in a stage."""
    champions = yield version_query(model, page=1, stage=stage.value)
    return int(part(champions[0], "number")) if champions else None


def judge(condition: Condition, read: Callable[[Query], Sequence[Record]]) -> Verdict:
    """Judge a condition, reading with ``read``."""
    inquiry = condition.inquire()
    try:
        query = next(inquiry)
        while True:
            query = inquiry.send(list(read(query)))
    except StopIteration as end:
        return cast(Verdict, end.value)


async def judge_async(condition: Condition, read: Callable[[Query], Awaitable[Sequence[Record]]]) -> Verdict:
    """Judge a condition, reading with ``read`` and leaving the event loop to others meanwhile."""
    inquiry = condition.inquire()
    try:
        query = next(inquiry)
        while True:
            query = inquiry.send(list(await read(query)))
    except StopIteration as end:
        return cast(Verdict, end.value)


def part(record: Record, key: str) -> Any:
    """A value of a record; ZenML spreads them over ``body`` and ``metadata``."""
    for place in ("body", "metadata"):
        values = record.get(place) or {}
        if key in values:
            return values[key]
    return None


def _holds(metadata: Mapping[str, Any], key: str, wanted: Any) -> bool:
    """Whether metadata holds a value, under the key as it stands or along its dots."""
    if key in metadata:
        return _equal(metadata[key], wanted)
    current: Any = metadata
    for part in key.split("."):
        if not isinstance(current, Mapping) or part not in current:
            return False
        current = current[part]
    return _equal(current, wanted)


def _equal(found: Any, wanted: Any) -> bool:
    """Equality in which 1 is not true: a gate has passed when it says so."""
    return bool(found == wanted) and isinstance(found, bool) == isinstance(wanted, bool)


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | Sequence | Mapping) and not value)


def _named(version: Record) -> dict[str, Any]:
    body = version["body"]
    return {
        "model": body["model"]["name"],
        "model_version_id": version["id"],
        "version": version["name"],
        "number": body["number"],
        "stage": body["stage"],
    }
