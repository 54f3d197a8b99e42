"""How good is a risk model: metrics with bootstrap intervals that respect groups of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from zenml_mlops.gates.limits import Estimate, MetricReport

Array = npt.NDArray[Any]

TOP_SHARE: Final = 0.10
"""The share of rows with the highest risks on which ``*_top_decile`` is measured."""

CALIBRATION_BINS: Final = 10
_CHUNK: Final = 25
_NEWTON_STEPS: Final = 8


def evaluate(
    labels: Array,
    risks: Array,
    groups: Array,
    *,
    unit: str,
    resamples: int,
    confidence: float,
    seed: int,
) -> MetricReport:
    """Measure a risk model, each metric with a percentile bootstrap interval.

    A resample draws whole groups with replacement, because rows of one group are not independent: intervals
    from drawn rows would be too narrow. All resamples are weights on one sorted array, so nothing is sorted
    twice.

    The interval is the one of Efron and Tibshirani (1993, ch. 13). Of a metric that only noise keeps above
    zero, the calibration error, it lies a little high, so a limit on its upper end is a strict one.

    Args:
        labels: n labels, 0 or 1.
        risks: n predicted probabilities.
        groups: n identities of what is drawn.
        unit: What a group is, for sentences.
        resamples: Number of resamples.
        confidence: Coverage of the intervals, 0 to 1.
        seed: Seed of the draw.

    Returns:
        ``roc_auc``, ``average_precision``, ``average_precision_lift`` (over the base rate), ``base_rate``,
        ``brier``, ``expected_calibration_error`` (ten bins of equal size), ``calibration_intercept`` and
        ``calibration_slope`` (of a logistic recalibration: 0 and 1 are perfect), ``precision_top_decile`` and
        ``recall_top_decile``.

    Raises:
        ValueError: If the labels hold one class only, or a risk is no probability.
    """
    labels, risks = np.asarray(labels, dtype=float), np.asarray(risks, dtype=float)
    if labels.size == 0 or labels.min() == labels.max():
        raise ValueError(
            f"An evaluation needs rows with and without the event; the {labels.size} test rows hold "
            f"{int(labels.sum())} with it. Check the split and the target."
        )
    if not (np.isfinite(risks).all() and (risks >= 0).all() and (risks <= 1).all()):
        raise ValueError("The model's risks must be probabilities between 0 and 1; some are not.")
    order = np.argsort(-risks, kind="stable")
    table = _Table(labels[order], risks[order])
    point = {name: float(values[0]) for name, values in table.metrics(np.ones((1, labels.size))).items()}

    _, codes = np.unique(groups, return_inverse=True)
    codes = codes[order]
    count = int(codes.max()) + 1
    random = np.random.default_rng(seed)
    draws: dict[str, list[Array]] = {name: [] for name in point}
    for start in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - start)
        drawn = np.stack([np.bincount(random.integers(0, count, count), minlength=count) for _ in range(size)])
        for name, values in table.metrics(drawn[:, codes].astype(float)).items():
            draws[name].append(values)
    tail = (1 - confidence) / 2
    metrics = {}
    for name, value in point.items():
        lower, upper = np.nanquantile(np.concatenate(draws[name]), [tail, 1 - tail])
        metrics[name] = Estimate(value=value, lower=float(lower), upper=float(upper))
    return MetricReport(
        rows=labels.size,
        positives=int(labels.sum()),
        metrics=metrics,
        confidence=confidence,
        resamples=resamples,
        resampled_unit=unit,
    )


def resampled_metrics(labels: Array, risks: Array, weights: Array, names: Sequence[str]) -> dict[str, Array]:
    """Metrics of a model on given resamples; two models that get the same weights are compared in pairs.

    Args:
        labels: n labels, 0 or 1.
        risks: n predicted probabilities.
        weights: resamples x n weights.
        names: Metrics of :func:`evaluate`.

    Returns:
        One value a resample, by metric; NaN where a class has no weight.
    """
    order = np.argsort(-risks, kind="stable")
    table = _Table(labels[order].astype(float), risks[order])
    parts = [
        table.metrics(weights[start : start + _CHUNK, order].astype(float))
        for start in range(0, len(weights), _CHUNK)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


class _Table:
    """Labels and risks by descending risk, with what every resample shares."""

    def __init__(self, labels: Array, risks: Array) -> None:
        self.labels, self.risks = labels, risks
        # Rows of equal risk count as one threshold; without this a constant model would score by row order.
        self.ends = np.append(np.flatnonzero(np.diff(risks)), labels.size - 1)
        clipped = np.clip(risks, 1e-6, 1 - 1e-6)
        self.logits = np.log(clipped / (1 - clipped))
        self.bins = np.linspace(0, labels.size, CALIBRATION_BINS + 1).astype(int)[:-1]

    def metrics(self, weights: Array) -> dict[str, Array]:
        """Every metric for each row of ``weights`` (resamples x n)."""
        events = weights * self.labels
        total, positive = weights.sum(axis=1), events.sum(axis=1)
        negative = total - positive
        true = np.cumsum(events, axis=1)[:, self.ends]
        flagged = np.cumsum(weights, axis=1)[:, self.ends]
        false = flagged - true
        true_step = np.diff(true, axis=1, prepend=0.0)
        false_step = np.diff(false, axis=1, prepend=0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            auc = (false_step * (true - true_step / 2)).sum(axis=1) / (positive * negative)
            precision = np.where(flagged > 0, true / flagged, 0.0)
            average_precision = (true_step * precision).sum(axis=1) / positive
            base = positive / total
        gaps = np.abs(
            np.add.reduceat(weights * self.risks, self.bins, axis=1) - np.add.reduceat(events, self.bins, axis=1)
        )
        intercept, slope = self._recalibration(weights)
        top_precision, top_recall = self._top(weights, total, positive)
        return {
            "roc_auc": auc,
            "average_precision": average_precision,
            "average_precision_lift": average_precision / base,
            "base_rate": base,
            "brier": (weights @ (self.risks - self.labels) ** 2) / total,
            "expected_calibration_error": gaps.sum(axis=1) / total,
            "calibration_intercept": intercept,
            "calibration_slope": slope,
            "precision_top_decile": top_precision,
            "recall_top_decile": top_recall,
        }

    def _top(self, weights: Array, total: Array, positive: Array) -> tuple[Array, Array]:
        size = TOP_SHARE * total
        before = np.cumsum(weights, axis=1) - weights
        inside = np.clip(size[:, None] - before, 0.0, weights)
        hits = inside @ self.labels
        return hits / size, hits / positive

    def _recalibration(self, weights: Array) -> tuple[Array, Array]:
        """Intercept and slope of the label on the logit of the risk (Cox 1958), by Newton steps."""
        x = self.logits
        intercept, slope = np.zeros(len(weights)), np.ones(len(weights))
        for _ in range(_NEWTON_STEPS):
            fitted = 1 / (1 + np.exp(-(intercept[:, None] + slope[:, None] * x)))
            residual = weights * (self.labels - fitted)
            curvature = weights * fitted * (1 - fitted)
            g0, g1 = residual.sum(axis=1), residual @ x
            h00, h01, h11 = curvature.sum(axis=1), curvature @ x, curvature @ x**2
            # Risks without spread have no slope; the floor keeps the step finite instead of dividing by zero.
            determinant = np.maximum(h00 * h11 - h01**2, 1e-12)
            intercept = np.clip(intercept + (h11 * g0 - h01 * g1) / determinant, -20, 20)
            slope = np.clip(slope + (h00 * g1 - h01 * g0) / determinant, -20, 20)
        return intercept, slope
