"""The section of the report on preloading."""

from __future__ import annotations

from typing import Any

from benchmarks.markdown import table
from benchmarks.stats import Summary, ratios

TASK_ROWS = (
    ("CPU seconds of a task with one trivial step", "cpu", 2),
    ("resident memory of a task, MB", "resident", 0),
    ("of it shared with other processes, MB", "shared", 0),
    ("private to the task, MB: what a further task costs", "private", 0),
    ("proportional share of a task, MB", "proportional", 0),
)


def preload(measured: dict[str, Any]) -> str:
    """Time and memory of a task, with and without preloading."""
    rounds = measured["rounds"]
    rows = []
    for label, key, digits in TASK_ROWS:
        off, on = ([one[key] for sample in rounds[mode] for one in sample["tasks"]] for mode in ("off", "on"))
        rows.append((label, *_cells(off, on, digits)))
    off, on = ([sample["parent"]["resident"] for sample in rounds[mode]] for mode in ("off", "on"))
    rows.append(("resident memory of the process that forks, MB", *_cells(off, on, 0)))
    seconds = Summary.of([sample["preload_seconds"] for sample in rounds["on"]])
    return "\n\n".join(
        [
            "## Preloading",
            f"A process that has imported what the LocalExecutor's scheduler imports forks {measured['tasks']} "
            "tasks. Each runs a pipeline of one trivial step and then stays, so that memory is read while all are "
            "there. The two kinds of process are measured in turns.",
            table(("", "without", "with preloading", "with over without"), rows),
            f"Preloading takes {seconds.show(1)} s, once, when the scheduler starts.",
        ]
    )


def _cells(off: list[float], on: list[float], digits: int) -> tuple[str, str, str]:
    return Summary.of(off).show(digits), Summary.of(on).show(digits), ratios(on, off).show(2)
