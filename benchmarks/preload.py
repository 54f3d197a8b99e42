"""Benchmark 5: what preloading saves each task, and what a further task at the same time costs in memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.arena import ROOT, Progress
from benchmarks.machine import measured_now
from zenml_airflow.settings.project import load_settings

TASKS = 4
"""Tasks that live at the same time."""
MODES = ("off", "on")


def measure(n: int, *, quick: bool, progress: Progress, tasks: int = TASKS) -> dict[str, Any]:
    """Run a step in each of some forks of a process like the scheduler, with and without preloading, in turns.

    Args:
        n: Processes of each kind.
        quick: Whether the report should call the numbers quick.
        progress: Called with a line for each round.
        tasks: Forks of each process.
    """
    about = {**measured_now(n, quick=quick), "tasks": tasks}
    state = load_settings().state_dir / "preload"
    _worker(state, "deploy")
    rounds: dict[str, list[dict[str, Any]]] = {mode: [] for mode in MODES}
    for number in range(n):
        for mode in MODES:
            _worker(state, mode, str(tasks))
            rounds[mode].append(json.loads(Path(state, "preload.json").read_text(encoding="utf-8")))
        told = ", ".join(f"{mode} {_private(rounds[mode][-1]):.0f} MB a task" for mode in MODES)
        progress(f"round {number + 1} of {n}: {told}")
    return {**about, "rounds": rounds}


def _private(sample: dict[str, Any]) -> float:
    return float(median(task["private"] for task in sample["tasks"]))


def _worker(state: Path, *arguments: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.preload_worker", *arguments],
        cwd=ROOT,
        env={**os.environ, "MLOPS_STATE_DIR": str(state)},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise RuntimeError(f"The preload worker failed: {(result.stderr or result.stdout)[-2000:]}")
