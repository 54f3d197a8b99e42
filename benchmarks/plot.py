"""One picture of all benchmarks."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.contenders import CONTENDERS
from benchmarks.stats import Summary
from benchmarks.targets import walls

OURS, OTHERS = "#3b6ea8", "#9a9a9a"
COLOURS = {one.name: OTHERS if one.plain or one.name == "stock" else OURS for one in CONTENDERS}


def draw(content: dict[str, Any], path: Path) -> None:
    """Draw what was measured into a PNG file."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    found = content["benchmarks"]
    figure, axes = plt.subplots(2, 2, figsize=(12, 8), layout="constrained")
    for axis, (name, panel) in zip(axes.flat, PANELS.items(), strict=True):
        if name in found:
            panel(axis, found[name])
        else:
            axis.set_title(f"{name}: not measured")
            axis.set_axis_off()
    # No software version or date in the file: equal numbers give equal pictures.
    figure.savefig(path, dpi=100, metadata={"Software": None})
    plt.close(figure)


def _inference(axis: Any, measured: dict[str, Any]) -> None:
    names = [one.name for one in reversed(CONTENDERS) if walls(measured, one.name)]
    summaries = [Summary.of(walls(measured, name)) for name in names]
    middle = [one.median for one in summaries]
    reach = [[one.median - one.low for one in summaries], [one.high - one.median for one in summaries]]
    axis.barh(names, middle, xerr=reach, color=[COLOURS[name] for name in names], capsize=3)
    axis.set_xscale("log")
    axis.set_title("Daily batch inference: seconds a run (log)")


def _backfill(axis: Any, measured: dict[str, Any]) -> None:
    found = measured["contenders"]
    names = [one.name for one in reversed(CONTENDERS) if one.name in found]
    axis.barh(names, [found[name]["days_per_minute"] for name in names], color=[COLOURS[name] for name in names])
    for index, name in enumerate(names):
        told = f" {found[name]['cpu_seconds_per_day']:.1f} CPU-s a day"
        axis.text(found[name]["days_per_minute"], index, told, va="center", fontsize=8)
    axis.margins(x=0.25)
    axis.set_title(f"Backfill, {measured['active_runs']} active runs: days a minute")


def _parse(axis: Any, measured: dict[str, Any]) -> None:
    series = {kind: [one["parse"] for one in samples] for kind, samples in measured["forked_ms"].items()}
    for count in sorted(measured["bundles_ms"], key=int):
        series[f"1 of {count}"] = measured["bundles_ms"][count]
    axis.boxplot(list(series.values()), tick_labels=list(series), showfliers=False)
    axis.set_ylim(bottom=0)
    axis.set_title("Parsing a DAG file in a forked child: ms")


def _overhead(axis: Any, measured: dict[str, Any]) -> None:
    sizes = sorted(measured["warm"], key=int)
    bottom = [0.0] * len(sizes)
    parts = sorted({part for size in sizes for sample in measured["warm"][size] for part in sample["seconds"]})
    for part in parts:
        heights = [median(one["seconds"].get(part, 0.0) for one in measured["warm"][size]) for size in sizes]
        if max(heights) < 0.01 * sum(heights + bottom):
            continue
        axis.bar(sizes, heights, bottom=bottom, label=part)
        bottom = [below + height for below, height in zip(bottom, heights, strict=True)]
    axis.legend(fontsize=8)
    axis.set_xlabel("steps")
    axis.set_title("Overhead in a warm process: seconds a run")


PANELS = {"inference": _inference, "backfill": _backfill, "parse": _parse, "overhead": _overhead}
