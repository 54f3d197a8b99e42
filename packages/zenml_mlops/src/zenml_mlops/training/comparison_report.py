"""A comparison as one self-contained HTML page, without a row of anybody."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from zenml_airflow.contracts.model_records import Comparison, Difference
from zenml_mlops.pages import INK, REFERENCE, page, plot, table

_HEAD = ("", "rows", "events", "challenger", "champion", "gain", "interval", "margin", "verdict")


def render_comparison(found: Comparison) -> str:
    """The page: the verdict, the numbers, and a plot of the gains with their intervals."""
    against = "no champion" if found.champion is None else f"version {found.champion}"
    parts = [
        f"<h1>Version {found.challenger} against {against}: {found.verdict.value}</h1>",
        f"<p>{escape(found.reason)}</p>",
        f"<p>{found.rows} labelled rows that neither trained on, {found.positives} with the event.</p>",
    ]
    for title, rows in (
        ("All rows", found.differences),
        ("AUC by group", found.groups),
        ("AUC by stretch of time", found.slices),
    ):
        if rows:
            parts.append(f"<h2>{title}</h2>{table(_HEAD, map(_cells, rows))}")
        if any(row.lower is not None for row in rows):
            parts.append(_plot(rows))
    return page(f"Version {found.challenger} against {against}", parts)


def _cells(row: Difference) -> tuple[Any, ...]:
    return (
        row.subject or row.metric,
        row.rows,
        row.positives,
        f"{row.challenger:.4f}",
        f"{row.champion:.4f}",
        f"{row.gain:+.4f}",
        "" if row.lower is None else f"{row.lower:+.4f} to {row.upper:+.4f}",
        "" if row.margin is None else f"{row.margin:g}",
        "reported only" if row.verdict is None else row.verdict.value,
    )


def _plot(rows: Sequence[Difference]) -> str:
    shown = [(row, row.lower, row.upper) for row in rows if row.lower is not None and row.upper is not None]

    def draw(axes: Any) -> None:
        for place, (row, lower, upper) in enumerate(shown):
            axes.plot([lower, upper], [place, place], color=INK, linewidth=2)
            axes.plot(row.gain, place, marker="o", markersize=4, color=INK)
            if row.margin is not None:
                axes.plot(-row.margin, place, marker="|", markersize=10, color=REFERENCE)
        axes.axvline(0, color=REFERENCE, linestyle=":", linewidth=1)
        axes.set_yticks(range(len(shown)), [row.subject or row.metric for row, _, _ in shown])
        axes.invert_yaxis()
        axes.set_xlabel("gain of the challenger, with interval (bar: margin)")

    return plot(0.8 + 0.32 * len(shown), draw)
