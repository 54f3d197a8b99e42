"""Bootstrap by group, and the area under the ROC curve of many resamples at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def group_weights(groups: Array, resamples: int, seed: int) -> Array:
    """How often each row is drawn when whole groups are drawn with replacement.

    Rows of one group, such as a patient, are not independent: intervals from drawn rows would be too narrow
    (Efron and Tibshirani 1993, ch. 8).

    Args:
        groups: n identities.
        resamples: Number of resamples.
        seed: Seed of the draw.

    Returns:
        Array of resamples x n weights.
    """
    _, codes = np.unique(groups, return_inverse=True)
    count = int(codes.max()) + 1
    random = np.random.default_rng(seed)
    drawn = np.stack([np.bincount(random.integers(0, count, count), minlength=count) for _ in range(resamples)])
    return np.asarray(drawn[:, codes], dtype=np.float32)


def weighted_auc(labels: Array, scores: Array, weights: Array) -> Array:
    """Area under the ROC curve of each resample; rows of equal score count half.

    Args:
        labels: n labels, 0 or 1.
        scores: n scores, higher for a likelier event.
        weights: resamples x n weights.

    Returns:
        One area a resample; NaN where a class has no weight.
    """
    order = np.argsort(-scores, kind="stable")
    scores, labels, weights = scores[order], labels[order], weights[:, order].astype(np.float64)
    ends = np.append(np.flatnonzero(np.diff(scores)), scores.size - 1)
    true = np.cumsum(weights * labels, axis=1)[:, ends]
    false = np.cumsum(weights, axis=1)[:, ends] - true
    true_step = np.diff(true, axis=1, prepend=0.0)
    false_step = np.diff(false, axis=1, prepend=0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        area = (false_step * (true - true_step / 2)).sum(axis=1) / (true[:, -1] * false[:, -1])
    return np.asarray(area)


def interval(draws: Array, confidence: float) -> tuple[float, float]:
    """Percentile interval of the draws that are numbers; NaN twice if none is."""
    if not np.isfinite(draws).any():
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    lower, upper = np.nanquantile(draws, [tail, 1 - tail])
    return float(lower), float(upper)
