"""Benchmark 1: one day's batch inference, five steps, through a real scheduler."""

from __future__ import annotations

import time
from datetime import date, datetime, timedelta
from typing import Any

from benchmarks.arena import BACKFILL_DAYS, DAYS, FIRST_DAY, Arena, Progress, rows_of
from benchmarks.contenders import Contender
from benchmarks.machine import measured_now
from benchmarks.sampling import ServiceTree, cpu_between
from zenml_mlops.airflow_api.api import FINISHED, AirflowApiError

RUN_TIMEOUT_SECONDS = 300.0
POLL_SECONDS = 0.5
"""The times come from Airflow's records; polling faster would only compete with the run."""


def measure(
    arena: Arena, contenders: list[Contender], *, n: int, quick: bool, progress: Progress
) -> dict[str, Any]:
    """Run each contender once a round, in turns, one run at a time; the first round warms up and is not kept.

    Raises:
        RuntimeError: If a run fails, or contenders predict different things for the same day.
    """
    first = FIRST_DAY + timedelta(days=BACKFILL_DAYS)
    if n + 1 > DAYS - BACKFILL_DAYS:
        raise RuntimeError(f"There is data for {DAYS - BACKFILL_DAYS - 1} rounds, not for {n}.")
    about = {**measured_now(n, quick=quick), "data": arena.data}
    tree = ServiceTree(arena.settings)
    rounds = []
    for number in range(n + 1):
        day = first + timedelta(days=number)
        # Each round begins with another contender, so that none always follows the same one.
        shift = number % len(contenders)
        runs = {one.name: _run(arena, tree, one, day) for one in contenders[shift:] + contenders[:shift]}
        _agree(day, {name: run.pop("digest") for name, run in runs.items()})
        told = "  ".join(f"{one.name} {runs[one.name]['wall']:.1f} s" for one in contenders)
        progress(f"{'warm-up' if number == 0 else f'round {number} of {n}'}: {told}")
        if number:
            rounds.append({"day": day.isoformat(), "rows": rows_of(arena.settings, day), "runs": runs})
    return {**about, "rounds": rounds}


def _run(arena: Arena, tree: ServiceTree, contender: Contender, day: date) -> dict[str, Any]:
    before = tree.cpu_seconds()
    logical = f"{day.isoformat()}T00:00:00Z"
    body = {"logical_date": logical, "conf": {}}
    run_id = arena.api.request("POST", f"dags/{contender.dag_id}/dagRuns", json=body)["dag_run_id"]
    deadline = time.monotonic() + RUN_TIMEOUT_SECONDS
    while True:
        run = arena.api.request("GET", f"dags/{contender.dag_id}/dagRuns/{run_id}")
        if run["state"] in FINISHED:
            break
        if time.monotonic() > deadline:
            raise AirflowApiError(f"{contender.dag_id} has not ended within {RUN_TIMEOUT_SECONDS:.0f} s.")
        time.sleep(POLL_SECONDS)
    cpu = cpu_between(before, tree.cpu_seconds())
    if run["state"] != "success":
        raise AirflowApiError(f"{contender.dag_id} failed: {arena.api.failure(contender.dag_id, run_id)}")
    tasks = arena.api.tasks(contender.dag_id, run_id)
    return {
        "wall": seconds(run["start_date"], run["end_date"]),
        "queued_to_end": seconds(run["queued_at"], run["end_date"]),
        "tasks": len(tasks),
        "tries": max(task["try_number"] for task in tasks),
        "in_tasks": sum(seconds(task["start_date"], task["end_date"]) for task in tasks),
        "in_queue": sum(seconds(task["queued_when"], task["start_date"]) for task in tasks),
        "cpu": cpu,
        "digest": arena.digest(contender, day),
    }


def seconds(begin: str, end: str) -> float:
    """Seconds between two of Airflow's timestamps."""
    return round((datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds(), 3)


def _agree(day: date, digests: dict[str, str]) -> None:
    if len(set(digests.values())) > 1:
        raise RuntimeError(f"The contenders predict different things for {day}: {digests}. No race is fair then.")
