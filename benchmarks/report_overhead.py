"""The section of the report on what ZenML adds to a step."""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks.markdown import table
from benchmarks.stats import Summary

PARTS = ("ZenML store calls", "materializers", "code download", "step logs", "list of installed packages", "rest")
STACK = "stack and its components"


def overhead(measured: dict[str, Any]) -> str:
    """Time by part, and how it grows with the number of steps."""
    warm = measured["warm"]
    sizes = sorted(warm, key=int)
    head = ("steps", "seconds a run", "a step, ms", "store calls", "SQL statements", "commits", "bare calls, µs")
    rows = [_growth_row(size, warm[size], measured["bare_us"][size]) for size in sizes]
    texts = [
        "## Overhead of a step",
        "Chains of steps that do next to nothing, through `zenml_airflow.runtime.runner.run_steps` in one warm "
        "process, on a local SQLite store; the first round warms up and is not kept. The bare calls are the same "
        "functions without ZenML.",
        table(head, rows),
        _growth(warm, sizes),
        "Where the seconds of a run go. The first column is the first run in a process that was just forked, "
        "which is what each task pays: the store is opened, statements are compiled.",
        _parts(measured, sizes),
    ]
    if len(sizes) > 1:
        texts += [
            f"Calls of ZenML's store for each further step ({sizes[-2]} to {sizes[-1]} steps):",
            _methods(warm[sizes[-2]], warm[sizes[-1]], int(sizes[-1]) - int(sizes[-2])),
        ]
    texts += ["The same for the first run in a forked process, by the time they take:", _first(measured["first"])]
    return "\n\n".join(texts)


def _growth_row(size: str, samples: list[dict[str, Any]], bare: float) -> tuple[object, ...]:
    walls = Summary.of([sample["wall"] for sample in samples])
    sql = samples[-1]["sql"]
    return (
        size,
        walls.show(2),
        f"{1000 * walls.median / int(size):.0f}",
        samples[-1]["calls"].get("ZenML store calls", 0),
        sum(count for kind, count in sql.items() if kind != "COMMIT"),
        sql.get("COMMIT", 0),
        f"{bare:.1f}",
    )


def _growth(warm: dict[str, list[dict[str, Any]]], sizes: list[str]) -> str:
    if len(sizes) < 3:
        return ""
    middle = {size: median(sample["wall"] for sample in warm[size]) for size in sizes}

    def slope(small: str, large: str) -> float:
        return float(1000 * (middle[large] - middle[small]) / (int(large) - int(small)))

    return (
        f"A further step costs {slope(sizes[0], sizes[1]):.0f} ms from {sizes[0]} to {sizes[1]} steps and "
        f"{slope(sizes[-2], sizes[-1]):.0f} ms from {sizes[-2]} to {sizes[-1]}."
    )


def _parts(measured: dict[str, Any], sizes: list[str]) -> str:
    first = measured["first"]
    shown = [
        (f"first run, {first[0]['size']} step", first),
        *((f"{size}", measured["warm"][size]) for size in sizes),
    ]
    rows = []
    for part in (*PARTS[:-1], STACK, PARTS[-1]):
        cells = (median(sample["seconds"].get(part, 0.0) for sample in samples) for _, samples in shown)
        rows.append((part, *(f"{spent:.3f}" for spent in cells)))
    rows.append(("all", *(f"{median(sample['wall'] for sample in samples):.3f}" for _, samples in shown)))
    return table(("seconds", *(told for told, _ in shown)), rows)


def _methods(small: list[dict[str, Any]], large: list[dict[str, Any]], steps: int) -> str:
    def calls(samples: list[dict[str, Any]], name: str, index: int) -> float:
        return float(median(sample["details"].get(name, [0, 0.0])[index] for sample in samples))

    rows = []
    for name in sorted({name for sample in large for name in sample["details"]}):
        count = (calls(large, name, 0) - calls(small, name, 0)) / steps
        spent = 1000 * (calls(large, name, 1) - calls(small, name, 1)) / steps
        if name.startswith("ZenML store calls") and count > 0:
            rows.append((name.split(": ")[-1], f"{count:.1f}", spent))
    rows.sort(key=lambda row: -row[2])
    return table(("method", "calls", "ms"), [(name, count, f"{spent:.1f}") for name, count, spent in rows])


def _first(samples: list[dict[str, Any]]) -> str:
    names = {name for sample in samples for name in sample["details"]}
    spent = {name: median(sample["details"].get(name, [0, 0.0])[1] for sample in samples) for name in names}
    rows = sorted(spent.items(), key=lambda item: -item[1])[:8]
    return table(
        ("call, with what it calls in turn", "calls", "ms"),
        [
            (
                name,
                f"{median(sample['details'].get(name, [0, 0.0])[0] for sample in samples):.0f}",
                f"{1000 * s:.0f}",
            )
            for name, s in rows
        ],
    )
