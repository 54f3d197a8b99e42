"""What a challenger made of a day as one self-contained HTML page, without a row of anybody."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from zenml_mlops.inference.shadow import Agreement, ShadowRecord, ShadowStatus
from zenml_mlops.pages import INK, REFERENCE, page, plot

_LABELS = {
    "same_decision": "share of rows with one decision by both",
    "only_champion": "high risk by the champion alone",
    "only_challenger": "high risk by the challenger alone",
    "both": "high risk by both",
    "correlation": "correlation of the risks",
    "rank_correlation": "rank correlation of the risks",
    "mean_difference": "mean difference of the risks (challenger less champion)",
    "mean_absolute_difference": "mean size of the difference",
    "p95_absolute_difference": "size that 95 percent of the differences do not exceed",
    "largest_difference": "largest difference",
    "psi": "population stability index of the challenger's risks",
    "ks": "largest distance of the cumulative distributions",
}


def render_shadow(record: ShadowRecord, day: str) -> str:
    """The page: what became of the challenger, the numbers, and a plot of both distributions of risks."""
    against = "no challenger" if record.challenger is None else f"version {record.challenger}"
    title = f"{day}: {against} in the shadow of version {record.champion}"
    parts = [f"<h1>{escape(title)}</h1>"]
    if record.status is not ShadowStatus.SCORED:
        parts.append(f"<p>{record.status.value}: {escape(record.reason)}</p>")
    if record.agreement is not None:
        parts.append(f"<p>{record.agreement.rows} rows scored by both.</p>")
        parts.append(_table(record.agreement))
        if record.agreement.rows:
            parts.append(_plot(record.agreement))
    return page(title, parts)


def _table(found: Agreement) -> str:
    values = found.model_dump(include=set(_LABELS))
    rows = [f"<tr><td>{escape(label)}</td><td>{_text(values[name])}</td></tr>" for name, label in _LABELS.items()]
    return f"<table>{''.join(rows)}</table>"


def _text(value: float | None) -> str:
    if value is None:
        return "not defined"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _plot(found: Agreement) -> str:
    edges = np.linspace(0, 1, len(found.champion_risks) + 1)

    def draw(axes: Any) -> None:
        axes.stairs(found.champion_risks, edges, color=REFERENCE, label="champion")
        axes.stairs(found.challenger_risks, edges, color=INK, label="challenger")
        axes.set_xlabel("risk")
        axes.set_ylabel("rows")
        axes.legend(frameon=False)

    return plot(2.6, draw)
