"""Whether a model is stable, fast, and not worse than the one in use."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from zenml_mlops.gates.limits import Measure, not_judged
from zenml_mlops.gates.rules import ChampionRules, LatencyRules, StabilityRules
from zenml_mlops.gates.statistics import auc, interval, weighted_auc

Array = npt.NDArray[Any]
Predict = Callable[[pd.DataFrame], Array]


def refit_measure(
    model: Any, frame: pd.DataFrame, labels: Array, groups: Array, rules: StabilityRules, *, seed: int
) -> Measure:
    """``auc_spread_of_refits``: largest minus smallest AUC of models trained and judged on other people.

    The model is refitted on all folds but one and judged on that one; folds hold whole groups.

    Args:
        model: A scikit-learn estimator; it is cloned.
        frame: n training rows, the columns that the model reads.
        labels: n labels, 0 or 1.
        groups: n identities, such as the patient.
    """
    from sklearn.base import clone
    from sklearn.model_selection import StratifiedGroupKFold
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    identities, codes = np.unique(groups, return_inverse=True)
    shuffled = np.random.default_rng(seed).permutation(len(identities))[codes]
    chosen = np.sort(np.argsort(shuffled, kind="stable")[: rules.rows])
    frame, labels, groups = frame.iloc[chosen], labels[chosen], groups[chosen]
    folds = StratifiedGroupKFold(n_splits=rules.folds, shuffle=True, random_state=seed)
    areas = []
    # Threads of a task on a shared machine wait for each other by spinning.
    with threadpool_limits(limits=1):
        for train, held_out in folds.split(frame, labels, groups):
            fitted = clone(model).fit(frame.iloc[train], labels[train])
            areas.append(auc(labels[held_out], fitted.predict_proba(frame.iloc[held_out])[:, 1]))
    return _spread("auc_spread_of_refits", areas, f"{rules.folds} refits on {len(frame)} training rows")


def slice_measure(labels: Array, risks: Array, order: Array, rules: StabilityRules) -> Measure:
    """``auc_spread_over_time``: largest minus smallest AUC of consecutive slices of the test rows."""
    parts = np.array_split(np.argsort(order, kind="stable"), rules.folds)
    areas = [auc(labels[part], risks[part]) for part in parts if 0 < labels[part].mean() < 1]
    return _spread("auc_spread_over_time", areas, f"{rules.folds} slices of {len(labels)} test rows in time order")


def _spread(metric: str, areas: list[float], sample: str) -> Measure:
    if len(areas) < 2:
        return Measure(metric=metric, value=None, evidence=f"fewer than two of {sample} hold both classes")
    listed = ", ".join(f"{area:.3f}" for area in areas)
    return Measure(metric=metric, value=max(areas) - min(areas), evidence=f"AUC {listed} of {sample}")


def latency_measures(predict: Predict, frame: pd.DataFrame, rules: LatencyRules) -> tuple[Measure, ...]:
    """``single_row_ms`` (95th percentile of n rows) and ``batch_ms`` (median of n batches), after one warm-up."""
    batch = frame.iloc[np.arange(rules.batch_rows) % len(frame)].reset_index(drop=True)
    predict(batch)
    singles = [_milliseconds(predict, frame.iloc[[i % len(frame)]]) for i in range(rules.single_rows)]
    batches = [_milliseconds(predict, batch) for _ in range(rules.batches)]
    single, whole = float(np.quantile(singles, 0.95)), float(np.median(batches))
    of_one = f"95th percentile of {rules.single_rows} predictions of one row: {single:.1f} ms"
    of_all = f"median of {rules.batches} predictions of {rules.batch_rows} rows: {whole:.1f} ms"
    return (
        Measure(metric="single_row_ms", value=single, evidence=of_one),
        Measure(metric="batch_ms", value=whole, evidence=of_all),
    )


def _milliseconds(predict: Predict, frame: pd.DataFrame) -> float:
    start = time.perf_counter()
    predict(frame)
    return (time.perf_counter() - start) * 1000


def champion_measure(
    labels: Array,
    risks: Array,
    champion_risks: Array,
    weights: Array,
    rules: ChampionRules,
    *,
    confidence: float,
    champion: str,
) -> Measure:
    """``auc_over_champion``: AUC of the candidate minus that of the champion, on the same resampled rows.

    Args:
        labels: n labels, 0 or 1, of rows that neither model trained on.
        risks: n probabilities by the candidate.
        weights: resamples x n bootstrap weights; both models see the same resample.
        confidence: Coverage of the interval, 0 to 1.
        champion: The champion, for people.
    """
    positives = int(labels.sum())
    if positives < rules.min_positives or positives == len(labels):
        return not_judged(
            "auc_over_champion",
            f"only {len(labels)} rows ({positives} positive) are new to {champion}, {rules.min_positives} "
            "positive are needed: undecided",
        )
    ours, theirs = auc(labels, risks), auc(labels, champion_risks)
    draws = weighted_auc(labels, risks, weights) - weighted_auc(labels, champion_risks, weights)
    lower, upper = interval(draws, confidence)
    return Measure(
        metric="auc_over_champion",
        value=ours - theirs,
        lower=lower,
        upper=upper,
        evidence=(
            f"AUC {ours:.4f}, {champion} {theirs:.4f} on {len(labels)} rows ({positives} positive) that neither "
            f"trained on; {confidence:.0%} interval of the difference [{lower:.4f}, {upper:.4f}]"
        ),
    )
