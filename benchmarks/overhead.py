"""Benchmark 4: what ZenML adds to a step in a warm process, by part, and from 1 to 20 steps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.arena import ROOT, Progress
from benchmarks.machine import measured_now
from zenml_airflow.settings.project import load_settings

SIZES = (1, 2, 5, 10, 20)


def measure(n: int, *, quick: bool, progress: Progress, sizes: tuple[int, ...] = SIZES) -> dict[str, Any]:
    """Run chains of trivial steps in a process of their own, on a store of their own.

    Args:
        n: Runs of each size that count, after one to warm up.
        quick: Whether the report should call the numbers quick.
        progress: Called with a line for each size.
        sizes: Numbers of steps.
    """
    about = {**measured_now(n, quick=quick), "sizes": list(sizes)}
    state = load_settings().state_dir / "overhead"
    command = [sys.executable, "-m", "benchmarks.overhead_worker", str(n), ",".join(map(str, sizes))]
    result = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "MLOPS_STATE_DIR": str(state)},
        capture_output=True,
        text=True,
        check=False,
    )
    answer = Path(state, "overhead.json")
    if result.returncode or not answer.is_file():
        raise RuntimeError(f"The overhead worker failed: {(result.stderr or result.stdout)[-2000:]}")
    measured: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    for size, samples in measured["warm"].items():
        walls = sorted(sample["wall"] for sample in samples)
        progress(f"{size} steps: {walls[len(walls) // 2]:.2f} s")
    return {**about, **measured}
