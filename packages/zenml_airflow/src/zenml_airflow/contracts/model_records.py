"""What is recorded in ZenML of a model version: results of gates, approvals, a comparison with the champion.

``zenml_mlops`` writes them into the metadata of versions and runs. A pipeline of somebody else may record the same
forms with less or more in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar

from pydantic import AwareDatetime, BeforeValidator, ConfigDict, Field, ValidationError

from zenml_airflow.contracts.frozen import Deferred

GATES_METADATA: Final = "gates"
"""Key of the gates' report in the metadata of a run and of a version."""

APPROVALS_METADATA: Final = "approvals"
"""Key of a version's metadata that lists the approvals and rejections, oldest first."""

COMPARISON_METADATA: Final = "comparison"
"""Key of the comparison in the metadata of its run and of the challenging version."""

_Passed = Annotated[bool, BeforeValidator(lambda value: value is True)]
"""Anything but ``true`` did not pass."""


class _Recorded(Deferred):
    model_config = ConfigDict(extra="ignore")


_Form = TypeVar("_Form", bound=_Recorded)


class GateResult(_Recorded):
    """What a gate said, and why; what else it recorded is kept."""

    model_config = ConfigDict(extra="allow")

    gate: str
    passed: _Passed = False
    evidence: str = ""


class GateResults(_Recorded):
    """What all gates said.

    Attributes:
        verdicts: The answers; several of one gate that judges several subjects.
    """

    passed: _Passed = False
    verdicts: tuple[GateResult, ...] = Field(min_length=1)

    @classmethod
    def of(cls, gates: Mapping[str, bool]) -> GateResults | None:
        """The results of a version that another server trained: their evidence stayed there."""
        verdicts = tuple(GateResult(gate=gate, passed=passed) for gate, passed in gates.items())
        return cls(passed=all(gates.values()), verdicts=verdicts) if verdicts else None

    @property
    def by_gate(self) -> dict[str, bool]:
        """Whether each gate passed in all that it judged."""
        gates: dict[str, bool] = {}
        for one in self.verdicts:
            gates[one.gate] = gates.get(one.gate, True) and one.passed
        return gates if self.passed or not all(gates.values()) else {**gates, "the report as a whole": False}

    @property
    def failed(self) -> list[str]:
        """The gates that did not pass, by name."""
        return sorted(gate for gate, passed in self.by_gate.items() if not passed)


def gate_results(metadata: Mapping[str, Any]) -> GateResults | None:
    """The last report of the gates; ``None`` if there is none that names a gate."""
    return _read(GateResults, metadata.get(GATES_METADATA))


class Approval(Deferred):
    """A person's decision on a version.

    Attributes:
        links: Ids of other records, such as ``dag_run`` and ``comparison_run``.
    """

    stage: str
    approved: bool
    by: str = Field(min_length=1)
    at: AwareDatetime
    reason: str
    links: dict[str, str] = {}


def approvals(metadata: Mapping[str, Any]) -> tuple[Approval, ...]:
    """The decisions on a version, the oldest first."""
    return tuple(map(Approval.model_validate, metadata.get(APPROVALS_METADATA) or ()))


def latest_approval(metadata: Mapping[str, Any], stage: str) -> Approval | None:
    """The decision that holds for a stage: the last one; ``None`` if there is none."""
    return next((found for found in reversed(approvals(metadata)) if found.stage == stage), None)


class ComparisonVerdict(StrEnum):
    """What a comparison with the champion says of a candidate."""

    BETTER = "better"
    NOT_WORSE = "not worse"
    WORSE = "worse"
    UNDECIDED = "undecided"
    NO_CHAMPION = "no champion"


class Difference(_Recorded):
    """One metric of both models on the same rows.

    Attributes:
        subject: The group of people or the stretch of time; ``None`` if all rows.
        positives: Number of rows with the event.
        challenger: Value of the challenger.
        champion: Value of the champion.
        gain: Difference in the metric's unit; above zero where the challenger is better.
        lower: Lower end of the gain's interval; ``None`` where it is reported only.
        margin: How far below zero the gain may lie for the challenger to count as not worse.
        verdict: What follows from this difference alone; ``None`` where it is reported only.
    """

    metric: str
    subject: str | None = None
    rows: int = 0
    positives: int = 0
    challenger: float
    champion: float
    gain: float
    lower: float | None = None
    upper: float | None = None
    margin: float | None = None
    verdict: ComparisonVerdict | None = None

    def __str__(self) -> str:
        of = self.metric if self.subject is None else f"{self.metric} of {self.subject}"
        ends = "" if self.lower is None else f", interval [{self.lower:+.4f}, {self.upper:+.4f}]"
        return f"{of} {self.challenger:.4f} against {self.champion:.4f}, gain {self.gain:+.4f}{ends}"


class Comparison(_Recorded):
    """How a challenger does against the champion.

    Attributes:
        challenger: Number of the challenging version.
        champion: Number of the version in the stage; ``None`` without one.
        reason: What it rests on, in a sentence.
        rows: Rows that neither trained on.
        positives: Those with the event.
        first: First of these rows.
        confidence: Coverage of the intervals, 0 to 1.
        differences: The metrics on all rows.
        groups: The AUC by group of people.
        slices: The AUC by stretch of time, in order.
    """

    challenger: int
    champion: int | None = None
    verdict: ComparisonVerdict
    reason: str
    rows: int = 0
    positives: int = 0
    first: int | None = None
    last: int | None = None
    confidence: float | None = None
    differences: tuple[Difference, ...] = ()
    groups: tuple[Difference, ...] = ()
    slices: tuple[Difference, ...] = ()

    def sentences(self) -> list[str]:
        """All metrics, and the groups of people in which the challenger is worse."""
        worse = [group for group in self.groups if group.verdict is ComparisonVerdict.WORSE]
        return [f"{one}: {one.verdict}" if one.verdict else str(one) for one in (*self.differences, *worse)]


def comparison(metadata: Mapping[str, Any]) -> Comparison | None:
    """The comparison of a version, or the one that a run made; ``None`` if there is none."""
    return _read(Comparison, metadata.get(COMPARISON_METADATA))


def _read(form: type[_Form], recorded: Any) -> _Form | None:
    try:
        return form.model_validate(recorded)
    except ValidationError:
        return None
