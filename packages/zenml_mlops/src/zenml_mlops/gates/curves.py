"""The curves of a risk model, thin enough to be stored and without a row of anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zenml_airflow.contracts.frozen import Frozen

if TYPE_CHECKING:
    import numpy.typing as npt

POINTS = 100
"""Points that a curve is thinned to."""

BINS = 10
"""Bins of equal size of the reliability curve."""

HISTOGRAM_BINS = 40


class Curve(Frozen):
    """Points of a curve; ``x`` and ``y`` have the same length."""

    x: tuple[float, ...]
    y: tuple[float, ...]


class Curves(Frozen):
    """What the plots of a card show.

    Attributes:
        roc: False positive rate and true positive rate.
        precision_recall: Recall and precision.
        reliability: Mean risk and event rate of ten bins of equal size.
        histogram: Left edge of each bin of risk and the number of rows in it.
        base_rate: Event rate, 0 to 1.
    """

    roc: Curve
    precision_recall: Curve
    reliability: Curve
    histogram: Curve
    base_rate: float


def risk_curves(labels: npt.NDArray[Any], risks: npt.NDArray[Any]) -> Curves:
    """Compute the curves.

    Args:
        labels: n labels, 0 or 1, both of them there.
        risks: n probabilities.
    """
    import numpy as np
    from sklearn.calibration import calibration_curve
    from sklearn.metrics import precision_recall_curve, roc_curve

    false, true, _ = roc_curve(labels, risks)
    precision, recall, _ = precision_recall_curve(labels, risks)
    observed, predicted = calibration_curve(labels, risks, n_bins=BINS, strategy="quantile")
    counts, edges = np.histogram(risks, bins=HISTOGRAM_BINS)
    return Curves(
        roc=_thinned(false, true),
        precision_recall=_thinned(recall, precision),
        reliability=_curve(predicted, observed),
        histogram=_curve(edges[:-1], counts),
        base_rate=float(np.mean(labels)),
    )


def _thinned(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> Curve:
    import numpy as np

    chosen = np.unique(np.linspace(0, len(x) - 1, min(POINTS, len(x))).round().astype(int))
    return _curve(x[chosen], y[chosen])


def _curve(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> Curve:
    return Curve(x=tuple(map(float, x)), y=tuple(map(float, y)))
