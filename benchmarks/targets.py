"""The targets, and whether a set of numbers meets them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.report_policies import totals
from benchmarks.stats import Summary, ratios

PIPELINE_OVER_STOCK = 10.0
PER_STEP_OVER_STOCK = 4.0
PIPELINE_OF_PLAIN = 1.5
MANIFEST_OF_EMPTY = 1.2
FIFTY_PIPELINES_SECONDS = 1.0
MANY_OF_FEW = 1.1
"""Cost of a file among many over its cost among few that still counts as flat."""


@dataclass(frozen=True)
class Verdict:
    """A target beside what was measured.

    Attributes:
        target: What is compared.
        sign: How the measured ratio must stand to the limit.
        limit: The limit.
        measured: The ratio.
        met: Whether the median meets the limit.
        explanation: Where the time goes.
    """

    target: str
    sign: str
    limit: float
    measured: Summary
    met: bool
    explanation: str


def judge(found: dict[str, Any]) -> list[Verdict]:
    """Compare what was measured with the targets; what was not measured is left out."""
    verdicts = []
    if "inference" in found:
        verdicts += _race(found["inference"])
    if "parse" in found:
        verdicts += _parse(found["parse"])
    if "policies" in found:
        verdicts.append(_policies(found["policies"]))
    return verdicts


def walls(measured: dict[str, Any], name: str) -> list[float]:
    """Wall seconds of a contender, round by round; empty where it did not race."""
    return [one["runs"][name]["wall"] for one in measured["rounds"] if name in one["runs"]]


def _race(measured: dict[str, Any]) -> list[Verdict]:
    wanted = (
        (
            "`pipeline` is so many times faster than stock",
            "stock",
            "pipeline",
            "≥",
            PIPELINE_OVER_STOCK,
            "pipeline",
        ),
        (
            "`per_step` is so many times faster than stock",
            "stock",
            "per_step",
            "≥",
            PER_STEP_OVER_STOCK,
            "per_step",
        ),
        ("`pipeline` over plain Airflow", "pipeline", "plain", "≤", PIPELINE_OF_PLAIN, "pipeline"),
    )
    verdicts = []
    for target, above, below, sign, limit, ours in wanted:
        numerator, denominator = walls(measured, above), walls(measured, below)
        if numerator and denominator:
            ratio = ratios(numerator, denominator)
            verdicts.append(_verdict(target, sign, limit, ratio, _race_explanation(measured, ours)))
    return verdicts


def _race_explanation(measured: dict[str, Any], name: str) -> str:
    runs = [one["runs"][name] for one in measured["rounds"]]
    wall, inside = (median(run[key] for run in runs) for key in ("wall", "in_tasks"))
    tasks = runs[0]["tasks"]
    return (
        f"of {wall:.1f} s, {inside:.1f} s are inside {tasks} task{'s' if tasks > 1 else ''}, "
        f"{wall - inside:.1f} s are Airflow's between them; what a task does is broken down under overhead."
    )


def _parse(measured: dict[str, Any]) -> list[Verdict]:
    forked = measured["forked_ms"]
    empty, manifest = ([sample["parse"] for sample in forked[kind]] for kind in ("empty", "manifest"))
    few, many = sorted(measured["bundles_ms"], key=int)
    flat = median(measured["bundles_ms"][many]) / median(measured["bundles_ms"][few])
    return [
        _verdict(
            "parsing a DAG file with a manifest, over an empty one",
            "≤",
            MANIFEST_OF_EMPTY,
            ratios(manifest, empty),
            _parse_explanation(measured),
        ),
        _verdict(
            f"cost of a file among {many} manifests, over one among {few}",
            "≤",
            MANY_OF_FEW,
            Summary.of([flat]),
            "the cost of a file grows with the number of manifests beside it.",
        ),
    ]


def _parse_explanation(measured: dict[str, Any]) -> str:
    samples = measured["forked_ms"]["manifest"]
    more = median(s["parse"] for s in samples) - median(s["parse"] for s in measured["forked_ms"]["empty"])
    parts = {
        part: median(sample.get(part, 0.0) for sample in samples)
        for part in ("imports", "settings", "manifest", "operators", "serialization")
    }
    told = ", ".join(f"{part} {spent:.1f} ms" for part, spent in sorted(parts.items(), key=lambda item: -item[1]))
    return f"{more:.0f} ms more than an empty file. Its parts: {told}."


def _policies(measured: dict[str, Any]) -> Verdict:
    parts = {part: median(seconds) for part, seconds in measured["seconds"].items()}
    told = ", ".join(f"{part} {spent:.2f} s" for part, spent in parts.items())
    return _verdict(
        f"seconds that all deploy-time policies take on {measured['pipelines']} pipelines",
        "≤",
        FIFTY_PIPELINES_SECONDS,
        Summary.of(totals(measured)),
        f"its parts: {told}.",
    )


def _verdict(target: str, sign: str, limit: float, measured: Summary, explanation: str) -> Verdict:
    compare: Callable[[float, float], bool] = {"≥": operator.ge, "≤": operator.le}[sign]
    return Verdict(target, sign, limit, measured, compare(measured.median, limit), explanation)
