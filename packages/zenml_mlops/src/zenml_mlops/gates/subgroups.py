"""Whether a model serves some groups of people worse than others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from zenml_mlops.gates.limits import Measure, not_judged
from zenml_mlops.gates.rules import SubgroupRules
from zenml_mlops.gates.statistics import auc, interval, weighted_auc

Array = npt.NDArray[Any]

SUBGROUP_METRICS: Final = ("auc", "recall", "selection_rate", "calibration_gap")


def subgroup_measures(
    frame: pd.DataFrame,
    labels: Array,
    risks: Array,
    weights: Array,
    rules: SubgroupRules,
    *,
    threshold: float,
    confidence: float,
) -> tuple[Measure, ...]:
    """Compare every group with all rows.

    ``subgroup_auc_shortfall`` and ``subgroup_recall_shortfall`` (share of the events at or above the
    threshold) are all rows minus the group; ``subgroup_selection_gap`` is the group's share of rows at or
    above the threshold minus that of all; ``subgroup_calibration_gap`` is how far the group's mean risk lies
    from its event rate. The numbers come from ``fairlearn.metrics.MetricFrame``, the intervals from the
    bootstrap weights. The last two are absolute, so the lower end of their interval is 0 where it holds 0.

    Args:
        frame: n test rows with the columns of the rules; a missing value is a group of its own.
        labels: n labels, 0 or 1.
        risks: n probabilities.
        weights: resamples x n bootstrap weights.
        rules: The groups. Without a column nothing is judged, and the measures say so.
        threshold: Decision threshold, 0 to 1.
        confidence: Coverage of the intervals, 0 to 1.
    """
    if not rules.columns:
        reason = "no column is named whose groups are compared"
        return tuple(not_judged(metric, reason) for metric, _ in _GAPS.values())
    overall = _resampled(labels, risks, weights, threshold)
    measures: list[Measure] = []
    for column in rules.columns:
        values = group_names(frame[column])
        table = _metric_frame(labels, risks, values, threshold)
        for group in table.by_group.index:
            inside = (values == group).to_numpy()
            positives = int(labels[inside].sum())
            small = _too_small(int(inside.sum()), positives, rules)
            draws = None if small else _resampled(labels[inside], risks[inside], weights[:, inside], threshold)
            point, everyone = table.by_group.loc[group], table.overall
            sample = f"{int(inside.sum())} test rows, {positives} positive"
            for name, (metric, signed) in _GAPS.items():
                gap = _gap(name, float(point[name]), float(everyone[name]))
                ends = (
                    (None, None) if draws is None else interval(_gap(name, draws[name], overall[name]), confidence)
                )
                lower, upper, value = _absolute(gap, ends) if not signed else (*ends, gap)
                measures.append(
                    Measure(
                        metric=metric,
                        subject=f"{column}={group}",
                        value=value if np.isfinite(value) else None,
                        lower=lower,
                        upper=upper,
                        evidence=_sentence(f"{column}={group}", name, point, everyone, sample, (lower, upper)),
                        not_judged=small,
                    )
                )
    return tuple(measures)


def group_names(column: pd.Series) -> pd.Series:
    """The group of each row: the value, or ``missing``."""
    return column.astype("object").where(column.notna(), "missing").astype(str)


_GAPS: Final = {
    "auc": ("subgroup_auc_shortfall", True),
    "recall": ("subgroup_recall_shortfall", True),
    "selection_rate": ("subgroup_selection_gap", False),
    "calibration_gap": ("subgroup_calibration_gap", False),
}


def _gap(name: str, group: Any, everyone: Any) -> Any:
    if name == "calibration_gap":
        return group
    return group - everyone if name == "selection_rate" else everyone - group


def _absolute(gap: float, ends: tuple[float | None, float | None]) -> tuple[float | None, float | None, float]:
    lower, upper = ends
    if lower is None or upper is None:
        return None, None, abs(gap)
    small, large = sorted((abs(lower), abs(upper)))
    return (0.0 if lower <= 0 <= upper else small), large, abs(gap)


def _too_small(rows: int, positives: int, rules: SubgroupRules) -> str | None:
    if rows >= rules.min_rows and positives >= rules.min_positives:
        return None
    return (
        f"{rows} rows and {positives} positive: reported, not evaluated, below {rules.min_rows} rows or "
        f"{rules.min_positives} positive"
    )


def _metric_frame(labels: Array, risks: Array, groups: pd.Series, threshold: float) -> Any:
    from fairlearn.metrics import MetricFrame

    def area(y_true: Array, y_pred: Array) -> float:
        return auc(np.asarray(y_true), np.asarray(y_pred))

    def recall(y_true: Array, y_pred: Array) -> float:
        events = np.asarray(y_true) == 1
        return float((np.asarray(y_pred)[events] >= threshold).mean()) if events.any() else float("nan")

    def selected(y_true: Array, y_pred: Array) -> float:  # noqa: ARG001 - fairlearn's signature
        return float((np.asarray(y_pred) >= threshold).mean())

    def calibration(y_true: Array, y_pred: Array) -> float:
        return float(np.mean(y_pred) - np.mean(y_true))

    functions = dict(zip(SUBGROUP_METRICS, (area, recall, selected, calibration), strict=True))
    return MetricFrame(
        metrics=functions, y_true=labels, y_pred=risks, sensitive_features=groups.to_numpy(dtype=object)
    )


def _resampled(labels: Array, risks: Array, weights: Array, threshold: float) -> dict[str, Array]:
    high = (risks >= threshold).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        total = weights.sum(axis=1)
        return {
            "auc": weighted_auc(labels, risks, weights),
            "recall": (weights @ (labels * high)) / (weights @ labels),
            "selection_rate": (weights @ high) / total,
            "calibration_gap": (weights @ (risks - labels)) / total,
        }


def _sentence(group: str, name: str, point: Any, everyone: Any, sample: str, ends: Sequence[float | None]) -> str:
    text = f"{name} of {group} {point[name]:.3f}, of all {everyone[name]:.3f}; {sample}"
    lower, upper = ends
    return text if lower is None or upper is None else f"{text}; interval of the gap [{lower:.3f}, {upper:.3f}]"
