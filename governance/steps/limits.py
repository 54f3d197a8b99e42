"""What a model must reach: metrics with intervals, limits on them, and the verdicts.

Plain data and one pure function. No ZenML import, so that a configuration loads in milliseconds.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Judge(StrEnum):
    """Which end of a metric's interval a limit is held against."""

    VALUE = "value"
    LOWER = "lower"
    UPPER = "upper"


class Estimate(BaseModel):
    """A metric with its confidence interval, in the metric's own unit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    lower: float
    upper: float

    def end(self, judge: Judge) -> float:
        """The number that ``judge`` names."""
        return float(getattr(self, judge.value))


class MetricReport(BaseModel):
    """What an evaluation measured.

    Attributes:
        rows: Number of labelled rows.
        positives: Number of rows with the event.
        metrics: Estimate by metric name.
        confidence: Coverage of the intervals, 0 to 1.
        resamples: Number of bootstrap resamples behind them.
        resampled_unit: What a resample draws, such as ``patient`` or ``row``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

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


class Limit(BaseModel):
    """A bound on one metric.

    Attributes:
        metric: Name of the metric in the report.
        judge: Which end of the interval is compared.
        minimum: Smallest accepted number, inclusive.
        maximum: Largest accepted number, inclusive.
        why: Reason, shown when the limit is broken.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

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


class GateLimits(BaseModel):
    """The limits of one gate, by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limits: dict[str, Limit] = Field(min_length=1)


class GateVerdict(BaseModel):
    """The decision on one limit.

    Attributes:
        gate: Name of the limit.
        metric: Metric that it bounds.
        judged: ``value``, ``lower`` or ``upper``.
        number: The number compared; ``None`` if the evaluation does not report the metric.
        bound: The accepted range, for people.
        passed: Whether the number lies in it.
        evidence: Sentence with the whole interval and the sample behind it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    gate: str
    metric: str
    judged: Judge
    number: float | None
    bound: str
    passed: bool
    evidence: str


class GateReport(BaseModel):
    """All verdicts of one gate."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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
    """A gate refused a model. The message lists every failure."""


def judge(metrics: MetricReport, gate: GateLimits) -> GateReport:
    """Hold a report against limits.

    A metric that the report lacks fails its limit: no evidence is not a pass.
    """
    verdicts = []
    sample = (
        f"{metrics.rows} rows, {metrics.positives} positive; {metrics.resamples} bootstrap resamples "
        f"by {metrics.resampled_unit}"
    )
    for name, limit in sorted(gate.limits.items()):
        estimate = metrics.metrics.get(limit.metric)
        if estimate is None:
            evidence = f"the evaluation reports no {limit.metric!r}; it reports {sorted(metrics.metrics)}"
            number, passed = None, False
        else:
            number = estimate.end(limit.judge)
            passed = limit.accepts(number)
            evidence = (
                f"{limit.metric} {estimate.value:.4f}, {metrics.confidence:.0%} interval "
                f"[{estimate.lower:.4f}, {estimate.upper:.4f}] on {sample}"
            )
        verdicts.append(
            GateVerdict(
                gate=name,
                metric=limit.metric,
                judged=limit.judge,
                number=number,
                bound=limit.bound,
                passed=passed,
                evidence=evidence,
            )
        )
    return GateReport(verdicts=verdicts)


def failure_message(report: GateReport, gate: GateLimits) -> str:
    """One message for all failures of a gate: rule, number, limit, evidence, reason."""
    lines = [f"The model fails {len(report.failures)} of {len(report.verdicts)} gates and is not registered:"]
    for verdict in report.failures:
        found = "nothing" if verdict.number is None else f"{verdict.number:.4f}"
        lines.append(
            f"- {verdict.gate}: {verdict.judged.value} of {verdict.metric} must be {verdict.bound}, found "
            f"{found} "
            f"({verdict.evidence}). {gate.limits[verdict.gate].why}"
        )
    lines.append(
        "The verdicts are in the metadata 'gates' of this ZenML run. Improve the model, or change the limit "
        "in "
        "configs/ with a reviewed reason."
    )
    return "\n".join(lines)
