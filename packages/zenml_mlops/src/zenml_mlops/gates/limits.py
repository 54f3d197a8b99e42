"""What data and models must keep: measures with intervals, limits on them, and the verdicts.

Plain data and pure functions. No ZenML import, so that a configuration loads in milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from pydantic import Field, model_validator

from zenml_airflow.contracts.frozen import Frozen


class Judge(StrEnum):
    """Which end of a metric's interval a limit is held against."""

    VALUE = "value"
    LOWER = "lower"
    UPPER = "upper"


class Estimate(Frozen):
    """A metric with its confidence interval, in the metric's own unit."""

    value: float
    lower: float
    upper: float

    def end(self, judge: Judge) -> float:
        """The number that ``judge`` names."""
        return float(getattr(self, judge.value))


class Measure(Frozen):
    """One number that a limit may bound, about everything or about one subject.

    Attributes:
        subject: The column or group that the number is about; ``None`` if it is about all.
        value: The number; ``None`` if it could not be had.
        lower: Lower end of its confidence interval, where it has one.
        evidence: Sentence: what was found, on which sample.
        not_judged: Why no limit is held against it, such as too small a group; ``None`` if one is.
    """

    metric: str
    subject: str | None = None
    value: float | None
    lower: float | None = None
    upper: float | None = None
    evidence: str
    not_judged: str | None = None

    def end(self, judge: Judge) -> float | None:
        """The number that ``judge`` names, if there is one."""
        number: float | None = getattr(self, judge.value)
        return number


def not_judged(metric: str, reason: str) -> Measure:
    """A metric that there is nothing to measure of, and why."""
    return Measure(metric=metric, value=None, evidence=reason, not_judged=reason)


class Examination(Frozen):
    """What an examining step found. It judges nothing; a gate does."""

    measures: tuple[Measure, ...]


class MetricReport(Frozen):
    """What an evaluation measured.

    Attributes:
        confidence: Coverage of the intervals, 0 to 1.
        resampled_unit: What a resample draws, such as ``patient`` or ``row``.
    """

    rows: int = Field(ge=0)
    positives: int = Field(ge=0)
    metrics: dict[str, Estimate]
    confidence: float = Field(gt=0, lt=1)
    resamples: int = Field(gt=0)
    resampled_unit: str

    def flat(self) -> dict[str, float]:
        """Metric values and bounds under flat names, as an experiment tracker wants them."""
        return {
            name if judge is Judge.VALUE else f"{name}_{judge.value}": estimate.end(judge)
            for name, estimate in self.metrics.items()
            for judge in Judge
        }

    def measures(self) -> tuple[Measure, ...]:
        """The metrics as what a gate reads."""
        sample = (
            f"{self.rows} rows, {self.positives} positive; {self.resamples} bootstrap resamples "
            f"by {self.resampled_unit}"
        )
        return tuple(
            Measure(
                metric=name,
                **estimate.model_dump(),
                evidence=(
                    f"{name} {estimate.value:.4f}, {self.confidence:.0%} interval "
                    f"[{estimate.lower:.4f}, {estimate.upper:.4f}] on {sample}"
                ),
            )
            for name, estimate in self.metrics.items()
        )


class Limit(Frozen):
    """A bound on one metric.

    Attributes:
        metric: Name of the metric. If it was measured for several subjects, the limit holds for each.
        judge: Which end of the interval is compared.
        minimum: Smallest accepted number, inclusive.
        maximum: Largest accepted number, inclusive.
        why: Reason, shown when the limit is broken.
    """

    metric: str
    judge: Judge
    minimum: float | None = None
    maximum: float | None = None
    why: str = Field(min_length=1)

    @model_validator(mode="after")
    def _bounds_something(self) -> Limit:
        if self.minimum is None and self.maximum is None:
            raise ValueError(f"the limit on {self.metric!r} has no effect: give it a minimum or a maximum")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"no number passes: minimum {self.minimum} is above maximum {self.maximum}")
        return self

    @property
    def bound(self) -> str:
        """The accepted range, for people."""
        parts = []
        if self.minimum is not None:
            parts.append(f">= {self.minimum:g}")
        if self.maximum is not None:
            parts.append(f"<= {self.maximum:g}")
        return " and ".join(parts)

    def accepts(self, number: float) -> bool:
        """Whether ``number`` lies in the range. A number that is not one (NaN) never does."""
        above = self.minimum is None or number >= self.minimum
        below = self.maximum is None or number <= self.maximum
        return above and below and not math.isnan(number)

    def room(self, number: float) -> float:
        """How far an accepted ``number`` is from the nearer bound, in the metric's unit."""
        return min(abs(number - bound) for bound in (self.minimum, self.maximum) if bound is not None)


class GateLimits(Frozen):
    """The limits of one gate, by name."""

    limits: dict[str, Limit] = Field(min_length=1)


class GateVerdict(Frozen):
    """The decision on one limit.

    Attributes:
        gate: Name of the limit.
        passed: Whether the number lies in it, or is not evaluated.
        not_judged: Why the number is reported only; ``None`` if it was judged.
    """

    gate: str
    metric: str
    subject: str | None = None
    judged: Judge
    number: float | None
    bound: str
    passed: bool
    not_judged: str | None = None
    evidence: str
    why: str = ""


class GateReport(Frozen):
    """All verdicts of one gate."""

    verdicts: list[GateVerdict] = Field(min_length=1)

    @property
    def passed(self) -> bool:
        """Whether every verdict passed."""
        return all(verdict.passed for verdict in self.verdicts)

    @property
    def failures(self) -> list[GateVerdict]:
        """The verdicts that did not pass."""
        return [verdict for verdict in self.verdicts if not verdict.passed]

    def as_metadata(self) -> dict[str, Any]:
        """The report as ZenML metadata: JSON, with the overall answer beside the verdicts."""
        return {"passed": self.passed, **self.model_dump(mode="json")}


class GateFailedError(RuntimeError):
    """A gate refused data or a model. The message lists every failure."""


def judge(metrics: MetricReport | None, gate: GateLimits, measures: Sequence[Measure] = ()) -> GateReport:
    """Hold what was measured against limits.

    A metric that nobody measured fails its limit: no evidence is not a pass. Of a metric with many subjects,
    every failure and everything that is not evaluated gets a verdict; if all pass, the one nearest to the limit
    speaks for them.
    """
    found = (*(() if metrics is None else metrics.measures()), *measures)
    verdicts: list[GateVerdict] = []
    for name, limit in sorted(gate.limits.items()):
        matching = [measure for measure in found if measure.metric == limit.metric]
        if not matching:
            known = sorted({measure.metric for measure in found})
            text = f"the evaluation reports no {limit.metric!r}; it reports {known}"
            matching = [Measure(metric=limit.metric, value=None, evidence=text)]
        verdicts.extend(_condensed([_verdict(name, limit, measure) for measure in matching], limit))
    return GateReport(verdicts=verdicts)


def _verdict(name: str, limit: Limit, measure: Measure) -> GateVerdict:
    number = measure.end(limit.judge)
    evidence = measure.evidence
    if number is None and measure.value is not None and measure.not_judged is None:
        evidence = f"{evidence}; it has no interval, so its {limit.judge.value} end cannot be judged"
    return GateVerdict(
        gate=name,
        metric=limit.metric,
        subject=measure.subject,
        judged=limit.judge,
        number=number,
        bound=limit.bound,
        passed=measure.not_judged is not None or (number is not None and limit.accepts(number)),
        not_judged=measure.not_judged,
        evidence=evidence,
        why=limit.why,
    )


def _condensed(verdicts: list[GateVerdict], limit: Limit) -> list[GateVerdict]:
    passed = [verdict for verdict in verdicts if verdict.passed and verdict.not_judged is None]
    rest = [verdict for verdict in verdicts if not (verdict.passed and verdict.not_judged is None)]
    if not passed or any(not verdict.passed for verdict in rest):
        return rest
    nearest = min(passed, key=lambda verdict: limit.room(verdict.number or 0.0))
    if len(passed) > 1:
        nearest = nearest.model_copy(
            update={"evidence": f"{nearest.evidence}; the nearest to the limit of {len(passed)}"}
        )
    return [nearest, *rest]


def failure_message(report: GateReport, subject: str = "model") -> str:
    """One message for all failures: gate, number, limit, evidence, reason.

    Args:
        subject: What was refused, ``model`` or ``data``.
    """
    consequence = "is not registered" if subject == "model" else "is not used"
    count = f"{len(report.failures)} of {len(report.verdicts)} gates"
    lines = [f"The {subject} fails {count} and {consequence}:"]
    for verdict in report.failures:
        found = "nothing" if verdict.number is None else f"{verdict.number:.4f}"
        of = verdict.metric if verdict.subject is None else f"{verdict.metric} of {verdict.subject!r}"
        lines.append(
            f"- {verdict.gate}: {verdict.judged.value} of {of} must be {verdict.bound}, found {found} "
            f"({verdict.evidence}). {verdict.why}"
        )
    lines.append(
        f"The verdicts are in the metadata 'gates' of this ZenML run. Improve the {subject}, or change the limit "
        "in configs/ with a reviewed reason."
    )
    return "\n".join(lines)
