"""The statistics of risk models: metrics, intervals by resampling groups, and how far two distributions differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from zenml_mlops.gates.limits import Estimate, MetricReport

Array = npt.NDArray[Any]

LESS_IS_BETTER: Final = frozenset({"brier", "expected_calibration_error"})

TOP_SHARE: Final = 0.10
"""The share of rows with the highest risks on which ``*_top_decile`` is measured."""

CALIBRATION_BINS: Final = 10
_CHUNK: Final = 25
_NEWTON_STEPS: Final = 8
_PSI_BINS: Final = 10
_SMALLEST_EXPECTED: Final = 5.0
"""Categories with a smaller expected count are lumped, or the statistic is not chi-square (Cochran 1954)."""


def evaluate(
    labels: Array, risks: Array, groups: Array, *, unit: str, resamples: int, confidence: float, seed: int
) -> MetricReport:
    """Measure a risk model, each metric with a percentile bootstrap interval by group.

    The interval is the one of Efron and Tibshirani (1993, ch. 13). Of a metric that only noise keeps above
    zero, the calibration error, it lies a little high, so a limit on its upper end is a strict one.

    Args:
        labels: n labels, 0 or 1.
        risks: n predicted probabilities.
        groups: n identities of what is drawn.
        unit: What a group is, for sentences.
        confidence: Coverage of the intervals, 0 to 1.

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
    ranking = _Ranking(labels, risks)
    draws = [ranking.metrics(weights) for weights in _drawn(groups, resamples, seed)]
    metrics = {}
    for name, values in ranking.metrics(np.ones((1, labels.size))).items():
        lower, upper = interval(np.concatenate([draw[name] for draw in draws]), confidence)
        metrics[name] = Estimate(value=float(values[0]), lower=lower, upper=upper)
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
    ranking = _Ranking(labels, risks)
    parts = [ranking.metrics(weights[start : start + _CHUNK]) for start in range(0, len(weights), _CHUNK)]
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def group_weights(groups: Array, resamples: int, seed: int) -> Array:
    """How often each row is drawn when whole groups are drawn with replacement.

    Rows of one group, such as a patient, are not independent: intervals from drawn rows would be too narrow
    (Efron and Tibshirani 1993, ch. 8).

    Returns:
        Array of resamples x n weights.
    """
    return np.concatenate(list(_drawn(groups, resamples, seed)))


def _drawn(groups: Array, resamples: int, seed: int) -> Iterator[Array]:
    """The same in parts, so that not all of them need be in memory."""
    _, codes = np.unique(groups, return_inverse=True)
    count = int(codes.max()) + 1
    random = np.random.default_rng(seed)
    for start in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - start)
        drawn = np.stack([np.bincount(random.integers(0, count, count), minlength=count) for _ in range(size)])
        yield drawn[:, codes].astype(np.float32)


def weighted_auc(labels: Array, scores: Array, weights: Array) -> Array:
    """Area under the ROC curve of each resample; rows of equal score count half.

    Args:
        labels: n labels, 0 or 1.
        scores: n scores, higher for a likelier event.
        weights: resamples x n weights.

    Returns:
        One area a resample; NaN where a class has no weight.
    """
    ranking = _Ranking(labels, scores)
    return ranking.auc(*ranking.classes(ranking.sorted(weights)))


def auc(labels: Array, scores: Array) -> float:
    """Area under the ROC curve."""
    return float(weighted_auc(labels, scores, np.ones((1, len(labels))))[0])


def interval(draws: Array, confidence: float) -> tuple[float, float]:
    """Percentile interval of the draws that are numbers; NaN twice if none is."""
    if not np.isfinite(draws).any():
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    lower, upper = np.nanquantile(draws, [tail, 1 - tail])
    return float(lower), float(upper)


class _Ranking:
    """Labels and risks by descending risk, with what every resample shares: nothing is sorted twice."""

    def __init__(self, labels: Array, risks: Array) -> None:
        self._order = np.argsort(-risks, kind="stable")
        self._labels, self._risks = labels[self._order].astype(float), risks[self._order]
        # Rows of equal risk count as one threshold; without this a constant model would score by row order.
        self._ends = np.append(np.flatnonzero(np.diff(self._risks)), labels.size - 1)

    def sorted(self, weights: Array) -> Array:
        """Weights (resamples x n) in the order of the ranking."""
        return weights[:, self._order].astype(float)

    def classes(self, weights: Array) -> tuple[Array, Array]:
        """Weight of the rows with the event, and of those without it, at or above each risk that occurs."""
        true = np.cumsum(weights * self._labels, axis=1)[:, self._ends]
        return true, np.cumsum(weights, axis=1)[:, self._ends] - true

    @staticmethod
    def auc(true: Array, false: Array) -> Array:
        true_step, false_step = (np.diff(part, axis=1, prepend=0.0) for part in (true, false))
        with np.errstate(divide="ignore", invalid="ignore"):
            area = (false_step * (true - true_step / 2)).sum(axis=1) / (true[:, -1] * false[:, -1])
        return np.asarray(area)

    def metrics(self, weights: Array) -> dict[str, Array]:
        """Every metric for each row of ``weights`` (resamples x n)."""
        weights = self.sorted(weights)
        events = weights * self._labels
        total, positive = weights.sum(axis=1), events.sum(axis=1)
        true, false = self.classes(weights)
        flagged = true + false
        with np.errstate(divide="ignore", invalid="ignore"):
            precision = np.where(flagged > 0, true / flagged, 0.0)
            average_precision = (np.diff(true, axis=1, prepend=0.0) * precision).sum(axis=1) / positive
            base = positive / total
        bins = np.linspace(0, weights.shape[1], CALIBRATION_BINS + 1).astype(int)[:-1]
        gaps = np.abs(np.add.reduceat(weights * self._risks, bins, axis=1) - np.add.reduceat(events, bins, axis=1))
        intercept, slope = self._recalibration(weights)
        top = TOP_SHARE * total
        before = np.cumsum(weights, axis=1) - weights
        hits = np.clip(top[:, None] - before, 0.0, weights) @ self._labels
        return {
            "roc_auc": self.auc(true, false),
            "average_precision": average_precision,
            "average_precision_lift": average_precision / base,
            "base_rate": base,
            "brier": (weights @ (self._risks - self._labels) ** 2) / total,
            "expected_calibration_error": gaps.sum(axis=1) / total,
            "calibration_intercept": intercept,
            "calibration_slope": slope,
            "precision_top_decile": hits / top,
            "recall_top_decile": hits / positive,
        }

    def _recalibration(self, weights: Array) -> tuple[Array, Array]:
        """Intercept and slope of the label on the logit of the risk (Cox 1958), by Newton steps."""
        clipped = np.clip(self._risks, 1e-6, 1 - 1e-6)
        x = np.log(clipped / (1 - clipped))
        intercept, slope = np.zeros(len(weights)), np.ones(len(weights))
        for _ in range(_NEWTON_STEPS):
            fitted = 1 / (1 + np.exp(-(intercept[:, None] + slope[:, None] * x)))
            residual = weights * (self._labels - fitted)
            curvature = weights * fitted * (1 - fitted)
            g0, g1 = residual.sum(axis=1), residual @ x
            h00, h01, h11 = curvature.sum(axis=1), curvature @ x, curvature @ x**2
            # Risks without spread have no slope; the floor keeps the step finite instead of dividing by zero.
            determinant = np.maximum(h00 * h11 - h01**2, 1e-12)
            intercept = np.clip(intercept + (h11 * g0 - h01 * g1) / determinant, -20, 20)
            slope = np.clip(slope + (h00 * g1 - h01 * g0) / determinant, -20, 20)
        return intercept, slope


def population_stability(reference: Array, found: Array) -> float:
    """Population stability index of two distributions counted on one grid, in tenths of the reference.

    Half a row is added to each tenth, so that an empty one counts as rare and not as infinitely far.
    """
    cuts = np.searchsorted(reference.cumsum(), reference.sum() * np.arange(1, _PSI_BINS) / _PSI_BINS) + 1
    starts = np.unique(np.concatenate([[0], cuts[cuts < len(reference)]]))
    binned = [np.add.reduceat(counts, starts) + 0.5 for counts in (reference, found)]
    before, now = (counts / counts.sum() for counts in binned)
    return float(((now - before) * np.log(now / before)).sum())


def cumulative_distance(before: Array, now: Array) -> float:
    """Largest distance of the cumulative distributions of two counted samples, 0 to 1."""
    return float(np.abs(np.cumsum(before) / before.sum() - np.cumsum(now) / now.sum()).max())


def kolmogorov_smirnov(before: Array, now: Array) -> tuple[float, float]:
    """Distance of two counted samples, and the probability of one that large (Hodges 1958, asymptotic)."""
    from scipy import stats

    one, other = before.sum(), now.sum()
    distance = cumulative_distance(before, now)
    return distance, float(stats.kstwo.sf(distance, max(1, round(one * other / (one + other)))))


def homogeneity(table: Array) -> float:
    """Probability that two samples of one distribution differ as much, by the chi-square test.

    Args:
        table: Counts of each category, 2 x categories; rare ones are lumped.
    """
    from scipy import stats

    second = table[1].sum() / table.sum()
    large = table.sum(axis=0) * second >= _SMALLEST_EXPECTED
    lumped, rest = table[:, large], table[:, ~large].sum(axis=1)
    if rest.sum():
        if rest.sum() * second >= _SMALLEST_EXPECTED or lumped.shape[1] < 2:
            lumped = np.column_stack([lumped, rest])
        else:
            lumped[:, int(np.argmin(lumped.sum(axis=0)))] += rest
    return 1.0 if lumped.shape[1] < 2 else float(stats.chi2_contingency(lumped, correction=False).pvalue)
