"""The plots of a card, as SVG texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from zenml_mlops.cards.card import CardContent
from zenml_mlops.gates.limits import Measure
from zenml_mlops.pages import INK, REFERENCE, plot

Draw = Callable[[Any, CardContent], None]


def plots(content: CardContent) -> dict[str, str]:
    """Every plot by its title, as an ``<svg>`` element. Group plots are left out where no group was judged."""
    drawn = {title: _svg(draw, content) for title, draw in _PLOTS.items()}
    for metric, title in _GROUP_PLOTS.items():
        shown = [m for m in content.groups if m.metric == metric and m.lower is not None]
        if shown:
            drawn[title] = _svg(partial(_intervals, shown), content)
    return drawn


def _svg(draw: Draw, content: CardContent) -> str:
    return plot(3.4, lambda axes: draw(axes, content), width=4.2, salt="card")


def _roc(axes: Any, content: CardContent) -> None:
    axes.plot([0, 1], [0, 1], color=REFERENCE, linestyle=":", linewidth=1)
    axes.plot(content.curves.roc.x, content.curves.roc.y, color=INK)
    axes.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1))


def _precision_recall(axes: Any, content: CardContent) -> None:
    axes.axhline(content.curves.base_rate, color=REFERENCE, linestyle=":", linewidth=1)
    axes.plot(content.curves.precision_recall.x, content.curves.precision_recall.y, color=INK)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1))


def _reliability(axes: Any, content: CardContent) -> None:
    curve = content.curves.reliability
    end = 1.05 * max(*curve.x, *curve.y)
    axes.plot([0, end], [0, end], color=REFERENCE, linestyle=":", linewidth=1)
    axes.plot(curve.x, curve.y, color=INK, marker="o", markersize=4)
    axes.set(xlabel="mean predicted risk", ylabel="observed rate", xlim=(0, end), ylim=(0, end))


def _histogram(axes: Any, content: CardContent) -> None:
    curve = content.curves.histogram
    width = curve.x[1] - curve.x[0]
    axes.bar(curve.x, curve.y, width=width, align="edge", color=INK)
    axes.axvline(content.threshold, color=REFERENCE, linestyle="--", linewidth=1)
    axes.set(xlabel="predicted risk (dashed: decision threshold)", ylabel="rows")


def _intervals(measures: Sequence[Measure], axes: Any, _: CardContent) -> None:
    for place, measure in enumerate(measures):
        axes.plot([measure.lower, measure.upper], [place, place], color=INK, linewidth=2)
        axes.plot(measure.value, place, marker="o", markersize=4, color=INK)
    axes.axvline(0, color=REFERENCE, linestyle=":", linewidth=1)
    axes.set_yticks(range(len(measures)), [str(measure.subject) for measure in measures])
    axes.invert_yaxis()
    axes.set_xlabel("difference to all, with interval")


_PLOTS: dict[str, Draw] = {
    "ROC curve": _roc,
    "Precision and recall": _precision_recall,
    "Reliability": _reliability,
    "Predicted risks": _histogram,
}
_GROUP_PLOTS = {
    "subgroup_auc_shortfall": "AUC shortfall by group",
    "subgroup_recall_shortfall": "Recall shortfall by group",
}
