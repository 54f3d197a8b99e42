"""The recorded history of a model's stages, as ZenML's metadata of its versions holds it.

Each transition is two records that are never rewritten: the plan, written before anything is changed, and the
outcome. A plan without one is a transition that was interrupted.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final
from uuid import UUID

from pydantic import AwareDatetime, Field
from zenml.enums import ModelStages
from zenml.metadata.metadata_types import MetadataType
from zenml.models import ModelVersionResponse

from zenml_airflow.contracts.frozen import Frozen
from zenml_airflow.contracts.model_records import Approval
from zenml_mlops.policy.waivers import Waiver
from zenml_mlops.promotion.versions import versions

_PLAN = "transition-"
_OUTCOME = "transition-outcome-"


class Kind(StrEnum):
    """What a transition is."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"
    ARCHIVE = "archive"
    WITHDRAW = "withdraw"


ENTERING: Final = frozenset({Kind.PROMOTE, Kind.ROLLBACK})
"""Transitions that bring a version into a stage; the others take one out."""


PAST: Final = {
    Kind.PROMOTE: "promoted",
    Kind.ROLLBACK: "brought back",
    Kind.ARCHIVE: "archived",
    Kind.WITHDRAW: "withdrawn",
}
"""How a sentence says that it happened."""


class State(StrEnum):
    """How far a transition is."""

    OPEN = "open"
    DONE = "done"
    FAILED = "failed"
    ABANDONED = "abandoned"


class Transition(Frozen):
    """The written plan of one transition.

    Attributes:
        number: Its place in the model's history, from 1.
        stage: Stage that the version enters; ``archived`` where it leaves one.
        came_from: Stage that the version was in; ``None`` if in none.
        displaced: Versions that were in the stage, and are archived; more than one only after a change by hand.
        links: Ids of other records: ``training_run``, and what the caller names, such as ``comparison_run``.
    """

    number: int = Field(ge=1)
    kind: Kind
    model: str
    version: int
    stage: str
    came_from: str | None = None
    displaced: tuple[int, ...] = ()
    actor: str
    reason: str = ""
    at: AwareDatetime
    environment: str
    approval: Approval | None = None
    waivers: tuple[Waiver, ...] = ()
    commit: str | None = None
    links: dict[str, str] = {}

    @property
    def moves(self) -> tuple[str, ...]:
        """What it changes, a line each."""
        lines = [f"version {self.version}: {self.came_from or 'no stage'} -> {self.stage}"]
        lines += [f"version {number}: {self.stage} -> {ModelStages.ARCHIVED.value}" for number in self.displaced]
        return tuple(lines)

    @property
    def previous(self) -> int | None:
        """The version that was in the stage before."""
        return self.displaced[-1] if self.displaced else None

    @property
    def id(self) -> str:
        """How other records name it."""
        return f"{self.model}/{self.number}"


class TransitionOutcome(Frozen):
    """How a transition ended.

    Attributes:
        state: ``done``, ``failed`` (nothing was changed) or ``abandoned`` (somebody else changed the stages).
        by: Who ended it; another than the actor if it was resumed.
    """

    state: State
    at: AwareDatetime
    by: str
    detail: str


class Record(Frozen):
    """A transition in the history: the plan, and how it ended if it has."""

    plan: Transition
    outcome: TransitionOutcome | None = None

    @property
    def state(self) -> State:
        """How far it is."""
        return State.OPEN if self.outcome is None else self.outcome.state

    @property
    def done(self) -> bool:
        """Whether it was carried out."""
        return self.state is State.DONE


def plan_metadata(plan: Transition) -> dict[str, MetadataType]:
    """The plan as metadata of its version."""
    return {f"{_PLAN}{plan.number:06d}": plan.model_dump(mode="json", exclude_none=True)}


def outcome_metadata(plan: Transition, outcome: TransitionOutcome) -> dict[str, MetadataType]:
    """The outcome as metadata of the plan's version."""
    return {f"{_OUTCOME}{plan.number:06d}": outcome.model_dump(mode="json")}


def history(model_name: str) -> tuple[Record, ...]:
    """Every transition of a model, the oldest first; empty if there is no such model."""
    return history_of(versions(model_name))


def history_of(found: Iterable[ModelVersionResponse]) -> tuple[Record, ...]:
    """Every transition that these versions remember, the oldest first."""
    plans: dict[int, Transition] = {}
    outcomes: dict[int, TransitionOutcome] = {}
    for version in found:
        for key, value in version.run_metadata.items():
            # The key of an outcome begins as that of a plan does.
            if key.startswith(_OUTCOME):
                outcomes[int(key.removeprefix(_OUTCOME))] = TransitionOutcome.model_validate(value)
            elif key.startswith(_PLAN):
                plans[int(key.removeprefix(_PLAN))] = Transition.model_validate(value)
    return tuple(Record(plan=plans[number], outcome=outcomes.get(number)) for number in sorted(plans))


def open_transition(records: Iterable[Record]) -> Transition | None:
    """The transition that was begun and not ended, if there is one."""
    return next((record.plan for record in records if record.state is State.OPEN), None)


def withdrawn_versions(records: Iterable[Record]) -> dict[int, Transition]:
    """The versions that must never serve again, each with what withdrew it."""
    return {r.plan.version: r.plan for r in records if r.done and r.plan.kind is Kind.WITHDRAW}


def past_champions(records: Iterable[Record], stage: str) -> set[int]:
    """Versions that were the champion of a stage at some time."""
    return {r.plan.version for r in records if r.done and r.plan.kind in ENTERING and r.plan.stage == stage}


def succession(records: Iterable[Record], stage: str) -> list[int]:
    """The versions that a rollback goes through, the nearest last.

    A promotion puts its version on top. A rollback takes those above its version away: what was rolled back from
    is no target for the next rollback. A version that was archived or withdrawn on purpose is none either.
    """
    order: list[int] = []
    for record in records:
        plan = record.plan
        if not record.done:
            continue
        if plan.kind not in ENTERING:
            order = [version for version in order if version != plan.version]
        elif plan.stage == stage:
            if plan.kind is Kind.ROLLBACK and plan.version in order:
                order = order[: order.index(plan.version)]
            order = [*(version for version in order if version != plan.version), plan.version]
    return order


def training_run(plan: Transition) -> UUID | None:
    """The run that made the version of a plan, if it was known."""
    named = plan.links.get("training_run")
    return None if named is None else UUID(named)
