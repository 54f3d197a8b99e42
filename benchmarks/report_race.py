"""The sections of the report on daily batch inference and on the backfill."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks.contenders import CONTENDERS
from benchmarks.markdown import table
from benchmarks.stats import Summary, ratios
from benchmarks.targets import walls

LABELS = {one.name: f"`{one.name}`: {one.label}" for one in CONTENDERS}


def inference(measured: dict[str, Any]) -> str:
    """One day's batch inference."""
    rounds = measured["rounds"]
    names = [one.name for one in CONTENDERS if one.name in rounds[0]["runs"]]
    rows = round(median(one["rows"] for one in rounds))
    head = ("contender", "seconds a run", "queued to end", "tasks", "in tasks", "between", "CPU-s")
    return "\n\n".join(
        [
            "## Daily batch inference, five steps, through a real scheduler",
            f"One run at a time, the contenders in turns, on the same day's {rows} rows ({measured['data']}); the "
            "first round warms up and is not kept. A run lasts from the DAG run's start to its end in Airflow's "
            "records. All contenders run in one Airflow (LocalExecutor) whose scheduler has pandas, scikit-learn "
            "and ZenML imported before it forks the tasks: plain Airflow profits from that as much. Stock steps "
            "start without a container, which flatters them. Every contender must write the same predictions, or "
            "nothing is reported. *In tasks* is the time inside all tasks of a run, *between* is the rest: "
            "scheduling. CPU-seconds are those of all services and tasks while the run lasted.",
            table(head, [_race_row(measured, name) for name in names]),
            _race_ratios(measured, names),
        ]
    )


def _race_row(measured: dict[str, Any], name: str) -> tuple[object, ...]:
    runs = [one["runs"][name] for one in measured["rounds"]]
    between = median(run["wall"] - run["in_tasks"] for run in runs)
    return (
        LABELS[name],
        Summary.of([run["wall"] for run in runs]).show(),
        f"{median(run['queued_to_end'] for run in runs):.1f}",
        runs[0]["tasks"],
        f"{median(run['in_tasks'] for run in runs):.1f}",
        f"{between:.1f}",
        f"{median(sum(run['cpu'].values()) for run in runs):.1f}",
    )


def _race_ratios(measured: dict[str, Any], names: list[str]) -> str:
    """Each contender against stock and against plain Airflow, round by round."""
    columns: list[tuple[str, Callable[[str], str]]] = []
    if "stock" in names:
        stock = walls(measured, "stock")
        columns.append(("times faster than `stock`", lambda name: ratios(stock, walls(measured, name)).show(1)))
    if "plain" in names:
        plain = walls(measured, "plain")
        columns.append(("time over `plain`", lambda name: ratios(walls(measured, name), plain).show(2)))
    if not columns:
        return ""
    rows = [(f"`{name}`", *(show(name) for _, show in columns)) for name in names]
    return table(("contender", *(title for title, _ in columns)), rows)


def backfill(measured: dict[str, Any]) -> str:
    """The backfill of many days."""
    found = measured["contenders"]
    names = [one.name for one in CONTENDERS if one.name in found]
    longest = max(found[name]["days"] for name in names)
    short = [f"`{name}` {found[name]['days']}" for name in names if found[name]["days"] < longest]
    note = f" Fewer days, because they are slow: {', '.join(short)}." if short else ""
    earlier = {name: when for name in names if (when := found[name].get("measured", "")) != measured["measured"]}
    if any(earlier.values()):
        told = ", ".join(f"`{name}` {when}" for name, when in earlier.items())
        note += f" Measured in another run on the same machine: {told}."
    head = (
        "contender",
        "days",
        "days a minute",
        "seconds a run",
        "CPU-s a day",
        "of it tasks",
        "peak MB",
        "of tasks",
    )
    return "\n\n".join(
        [
            f"## Backfill of {longest} days, {measured['active_runs']} active runs",
            "Airflow's own backfill, one contender after the other. *Days a minute* is the whole backfill's rate, "
            f"in brackets the rates of {measured['windows']} equal parts of it. CPU-seconds are those of all "
            "services and tasks; *of it tasks* is the scheduler with the tasks that it forks. Memory is the "
            f"proportional set size (shared pages count once), sampled twice a second.{note}",
            table(head, [_backfill_row(name, found[name]) for name in names]),
        ]
    )


def _backfill_row(name: str, result: dict[str, Any]) -> tuple[object, ...]:
    rates = Summary.of(result["window_rates"])
    walls_ = Summary.of(result["run_walls"])
    return (
        LABELS[name],
        result["days"],
        f"{result['days_per_minute']:.1f} ({rates.low:.1f} to {rates.high:.1f})",
        walls_.show(),
        f"{result['cpu_seconds_per_day']:.1f}",
        f"{result['cpu'].get('scheduler', 0.0) / result['days']:.1f}",
        f"{result['peak_mb']:.0f}",
        f"{result['peak_tasks_mb']:.0f}",
    )
