"""Limits and verdicts: plain data, no pipeline needed."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from zenml_mlops.gates.limits import Estimate, GateLimits, Judge, Limit, MetricReport, failure_message, judge


def report(**metrics: tuple[float, float, float]) -> MetricReport:
    return MetricReport(
        rows=1000,
        positives=100,
        metrics={name: Estimate(value=v, lower=lo, upper=hi) for name, (v, lo, hi) in metrics.items()},
        confidence=0.95,
        resamples=200,
        resampled_unit="patient",
    )


def gate(**limits: Limit) -> GateLimits:
    return GateLimits(limits=limits)


@pytest.mark.parametrize(
    ("end", "minimum", "maximum", "passed"),
    [
        (Judge.LOWER, 0.6, None, False),
        (Judge.VALUE, 0.6, None, True),
        (Judge.UPPER, None, 0.7, False),
        (Judge.VALUE, None, 0.7, True),
        (Judge.VALUE, 0.65, 0.65, True),
        (Judge.VALUE, 0.66, 0.70, False),
    ],
)
def test_the_named_end_is_judged(end, minimum, maximum, passed):
    limit = Limit(metric="auc", judge=end, minimum=minimum, maximum=maximum, why="because")
    assert judge(report(auc=(0.65, 0.59, 0.71)), gate(g=limit)).passed is passed


def test_a_metric_that_was_not_measured_fails():
    found = judge(report(auc=(0.7, 0.6, 0.8)), gate(g=Limit(metric="f1", judge=Judge.VALUE, minimum=0, why="w")))
    assert not found.passed
    assert "reports no 'f1'" in found.verdicts[0].evidence


def test_not_a_number_never_passes():
    limit = Limit(metric="auc", judge=Judge.VALUE, minimum=-math.inf, maximum=math.inf, why="w")
    assert not judge(report(auc=(math.nan, 0, 1)), gate(g=limit)).passed


def test_all_failures_are_in_one_message():
    limits = gate(
        floor=Limit(metric="auc", judge=Judge.LOWER, minimum=0.6, why="Skill."),
        sharp=Limit(metric="brier", judge=Judge.UPPER, maximum=0.1, why="Sharpness."),
        fine=Limit(metric="auc", judge=Judge.VALUE, maximum=0.75, why="Leak."),
    )
    found = judge(report(auc=(0.6, 0.55, 0.65), brier=(0.11, 0.1, 0.12)), limits)
    message = failure_message(found)
    for part in (
        "2 of 3",
        "floor",
        "0.5500",
        ">= 0.6",
        "Skill.",
        "sharp",
        "0.1200",
        "<= 0.1",
        "200 bootstrap resamples",
    ):
        assert part in message
    assert "Leak." not in message


@pytest.mark.parametrize("bounds", [{}, {"minimum": 1.0, "maximum": 0.0}])
def test_a_limit_without_effect_is_refused(bounds):
    with pytest.raises(ValidationError, match=r"no effect|no number passes"):
        Limit(metric="auc", judge=Judge.VALUE, why="w", **bounds)


@given(st.floats(0, 1), st.floats(0, 1))
def test_acceptance_is_the_comparison(number, bound):
    assert Limit(metric="m", judge=Judge.VALUE, minimum=bound, why="w").accepts(number) is (number >= bound)


def test_limits_load_without_zenml():
    code = (
        "import sys, zenml_mlops.gates.limits, zenml_pipelines.use_case, zenml_mlops.training.config;"
        "print([m for m in ('zenml', 'pandas', 'sklearn', 'mlflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
