"""Benchmark 2: a backfill of many days, four runs at a time."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from benchmarks.arena import BACKFILL_DAYS, FIRST_DAY, Arena, Progress
from benchmarks.contenders import ACTIVE_RUNS, Contender
from benchmarks.inference import seconds
from benchmarks.machine import measured_now
from benchmarks.sampling import Sampler, ServiceTree, cpu_between
from zenml_mlops.airflow_api.api import AirflowApiError

TIMEOUT_SECONDS = 1800.0
SLOW_DAYS = 10
"""Days of a contender so slow that the whole range would take most of the benchmark's time."""
QUICK_DAYS, QUICK_SLOW_DAYS = 10, 5
WINDOWS = 5
"""Parts of one backfill, by order of completion, whose rates give the spread."""


def measure(arena: Arena, contenders: list[Contender], *, quick: bool, progress: Progress) -> dict[str, Any]:
    """Backfill with each contender, one after the other.

    Raises:
        RuntimeError: If a day fails, or contenders predict different things for the same day.
    """
    days, slow_days = (QUICK_DAYS, QUICK_SLOW_DAYS) if quick else (BACKFILL_DAYS, SLOW_DAYS)
    about = {**measured_now(1, quick=quick), "active_runs": ACTIVE_RUNS, "windows": WINDOWS, "data": arena.data}
    tree = ServiceTree(arena.settings)
    expected: dict[date, str] = {}
    results = {}
    for one in contenders:
        count = slow_days if one.slow else days
        results[one.name] = result = _backfill(arena, tree, one, count)
        _check(arena, one, count, expected)
        progress(
            f"{one.name}: {count} days, {result['days_per_minute']:.1f} days a minute, "
            f"{result['cpu_seconds_per_day']:.1f} CPU-seconds a day"
        )
    return {**about, "contenders": results}


def _backfill(arena: Arena, tree: ServiceTree, contender: Contender, days: int) -> dict[str, Any]:
    last = FIRST_DAY + timedelta(days=days - 1)
    sampler = Sampler(tree)
    before = tree.cpu_seconds()
    idle = tree.memory_bytes()
    sampler.start()
    try:
        arena.api.backfill(contender.dag_id, FIRST_DAY, last, max_active_runs=ACTIVE_RUNS)
        runs = _follow(arena, contender, last, days)
    finally:
        sampler.finish()
    cpu = cpu_between(before, tree.cpu_seconds())
    failed = [run["dag_run_id"] for run in runs if run["state"] != "success"]
    if failed:
        raise AirflowApiError(f"{failed[0]} failed: {arena.api.failure(contender.dag_id, failed[0])}")
    start = min(run["start_date"] for run in runs)
    ends = sorted(seconds(start, run["end_date"]) for run in runs)
    return {
        "days": days,
        "wall": ends[-1],
        "days_per_minute": 60 * days / ends[-1],
        "window_rates": _window_rates(ends),
        "run_walls": sorted(seconds(run["start_date"], run["end_date"]) for run in runs),
        "cpu": cpu,
        "cpu_seconds_per_day": sum(cpu.values()) / days,
        "peak_mb": sampler.peak_all / 1e6,
        "peak_tasks_mb": sampler.peak_tasks / 1e6,
        "idle_mb": sum(idle.values()) / 1e6,
    }


def _follow(arena: Arena, contender: Contender, last: date, days: int) -> list[dict[str, Any]]:
    def poll() -> list[dict[str, Any]]:
        return list(arena.api.runs_of_days(contender.dag_id, FIRST_DAY, last).values())

    *_, ended = arena.api.follow(poll, timeout=TIMEOUT_SECONDS, expected=days)
    return list(ended)


def _window_rates(ends: list[float]) -> list[float]:
    """Days a minute in each of :data:`WINDOWS` equal parts of the backfill, by order of completion."""
    size = max(1, len(ends) // WINDOWS)
    marks = [0.0, *ends[size - 1 :: size]]
    return [60 * size / max(after - before, 1e-3) for before, after in pairwise(marks)]


def _check(arena: Arena, contender: Contender, days: int, expected: dict[date, str]) -> None:
    for number in range(days):
        day = FIRST_DAY + timedelta(days=number)
        found = arena.digest(contender, day)
        if expected.setdefault(day, found) != found:
            raise RuntimeError(f"{contender.name} predicts other things for {day} than the contenders before it.")
