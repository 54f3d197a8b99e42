"""``python -m benchmarks.capacity``: what 10, 1,000 and 100,000 scored partitions a day need.

It writes ``docs/capacity.md``. Every number there is computed from the measured backfill in ``results.json`` and
the assumptions below.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.markdown import table
from benchmarks.results import Results

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "capacity.md"

VOLUMES = (10, 1_000, 100_000)
"""Scored partitions a day."""
WINDOW_HOURS = 4
"""From the moment at which the partitions are complete to the one at which all of them must be scored."""
UTILISATION = 0.7
"""Share of the cores that may be busy: the rest takes retries, other DAGs and uneven load."""
CONTENDERS = ("per_step", "grouped", "pipeline")
"""Ways to run a pipeline, from one Airflow task a step to one in all; each in the worker's own process."""


@dataclass(frozen=True)
class Cost:
    """What one scored partition costs on the measured machine.

    Attributes:
        cpu: CPU-seconds of all services and tasks.
        tasks: Airflow tasks of the pipeline.
        rate: Partitions a minute that the whole machine scored.
        slot_mb: Memory of a task at the peak, in MB.
    """

    cpu: float
    tasks: float
    rate: float
    slot_mb: float

    @classmethod
    def measured(cls, benchmarks: Mapping[str, Any], name: str) -> Cost:
        """Read the cost of one way to run a pipeline."""
        backfill = benchmarks["backfill"]
        found = backfill["contenders"][name]
        return cls(
            cpu=found["cpu_seconds_per_day"],
            tasks=statistics.median(one["runs"][name]["tasks"] for one in benchmarks["inference"]["rounds"]),
            rate=found["days_per_minute"],
            slot_mb=found["peak_tasks_mb"] / backfill["active_runs"],
        )


@dataclass(frozen=True)
class Need:
    """What a number of partitions needs.

    Attributes:
        cpu_hours: CPU-hours a day.
        cores: Cores that are busy within the window, at the allowed utilisation.
        machines: Machines like the measured one, from the rate that it reached.
        memory_gb: Memory of the tasks that run at once, in GB.
        task_rate: Airflow tasks a second within the window.
    """

    cpu_hours: float
    cores: float
    machines: int
    memory_gb: float
    task_rate: float


def need(cost: Cost, partitions: int, active_runs: int) -> Need:
    """Work out what a number of partitions needs.

    Args:
        cost: Cost of one of them.
        partitions: Partitions a day.
        active_runs: Runs at once on one machine.
    """
    window = WINDOW_HOURS * 3600
    machines = math.ceil(partitions / (cost.rate / 60 * window * UTILISATION))
    return Need(
        cpu_hours=partitions * cost.cpu / 3600,
        cores=partitions * cost.cpu / (window * UTILISATION),
        machines=machines,
        memory_gb=machines * active_runs * cost.slot_mb / 1000,
        task_rate=partitions * cost.tasks / window,
    )


def render(results: Results) -> str:
    """The page."""
    machine, backfill = results.machine, results.benchmarks["backfill"]
    active = backfill["active_runs"]
    costs = {name: Cost.measured(results.benchmarks, name) for name in CONTENDERS}
    rows = statistics.median(one["rows"] for one in results.benchmarks["inference"]["rounds"])
    measured = table(
        (
            "granularity",
            "CPU-s a partition",
            "tasks a partition",
            "partitions a minute",
            "tasks a second",
            "MB a task",
        ),
        [
            (
                f"`{name}`",
                f"{cost.cpu:.1f}",
                f"{cost.tasks:.0f}",
                f"{cost.rate:.1f}",
                f"{cost.rate * cost.tasks / 60:.2f}",
                f"{cost.slot_mb:.0f}",
            )
            for name, cost in costs.items()
        ],
    )
    needed = table(
        (
            *("partitions a day", "granularity", "CPU-hours a day", "busy cores", "machines"),
            *("GB of tasks", "tasks a second"),
        ),
        [
            (f"{count:,}", f"`{name}`", *_cells(need(cost, count, active)))
            for count in VOLUMES
            for name, cost in costs.items()
        ],
    )
    cores = machine["cores"]
    fastest = max(cost.rate * cost.tasks / 60 for cost in costs.values())
    return f"""# Capacity

What 10, 1,000 and 100,000 scored partitions a day need, computed by `python -m benchmarks.capacity` from
[the measured backfill](../benchmarks/results.md). A test computes this page again.

## What a partition costs

Measured with {active} runs at once on a machine of {cores} cores that also ran Airflow's services, on SQLite,
and MLflow; a partition had about {rows:.0f} rows, and the launcher was `in_process` with preload.
CPU-seconds are those of all services and tasks. Memory is what the scheduler and its tasks had at the peak,
divided by the {active} runs: an upper bound of a task's own.

{measured}

## What many need

All partitions of a day are complete at the same moment and must be scored within {WINDOW_HOURS} hours;
at most {UTILISATION:.0%} of the cores may be busy. *Busy cores* come from the CPU-seconds. *Machines* are machines
like the measured one, from the rate that it reached, waiting included. A window twice as long needs half.

{needed}

How it is computed, with `N` partitions and a window of `W` seconds:

- busy cores = N x CPU-seconds / ({UTILISATION} x W)
- machines = N / ({UTILISATION} x W x partitions a second), rounded up
- GB of tasks = machines x {active} x MB a task / 1000
- tasks a second = N x tasks / W

## How to read it

- **10 a day**: LocalExecutor on one machine.
- **1,000 a day**: as many machines as the table says and one more, as Celery workers, so that one may fail. The
  fewer tasks a pipeline becomes, the cheaper: choose one task a step only where the operator must see each.
- **100,000 a day**: the steps scale out with Celery workers (`docker/kubernetes/values-celery.yaml`, where their
  number follows the queue), but all tasks pass through one metadata database and the schedulers beside it. The
  fastest rate measured here is {fastest:.2f} tasks a second, limited by {cores} cores that did everything;
  what several schedulers reach on a database of their own was **not measured**. Measure that first, and think of
  scoring several partitions in one run: the cost is a run's.
- The cost is that of a run, nearly independent of its rows at this size: a partition of millions of rows adds the
  time that scoring it takes.
- Not in the numbers: training, the object store, the machines of the ZenML server and of the databases once they
  are remote, and the pod start of the KubernetesExecutor, which comes once a task.
"""


def _cells(found: Need) -> tuple[str, ...]:
    return (
        f"{found.cpu_hours:,.2f}",
        f"{found.cores:,.2f}",
        f"{found.machines:,}",
        f"{found.memory_gb:,.1f}",
        f"{found.task_rate:,.2f}",
    )


if __name__ == "__main__":
    PAGE.write_text(render(Results.load(HERE)), encoding="utf-8")
