"""Too good to be true: how a label, a person or the future got into the features.

Every column is scored alone, by how well the label's rate among its values, learned from other groups' rows,
ranks the rows. That is fair to columns of many values, which would remember the label otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from zenml_mlops.gates.limits import Measure, not_judged
from zenml_mlops.gates.statistics import auc

Array = npt.NDArray[Any]

# Resolution and smoothing of the score; no verdict hangs on them, limits do and stand in configs/.
_BINS: Final = 64
_PRIOR_ROWS: Final = 20.0
_FOLDS: Final = 3
_MODULI: Final = (2, 3, 5, 7, 10, 16, 100)


def column_skill(column: pd.Series, labels: Array, groups: Array) -> tuple[float, str]:
    """How well one column alone ranks the label.

    A column is looked at in several ways: its values (or 64 bins of equal size), for integers of many values
    also the remainders by 2, 3, 5, 7, 10, 16 and 100, for texts of many values also the length, the first
    character and the last one. So a label that was hidden in the digits of an id is found too.

    Args:
        labels: n labels, 0 or 1.
        groups: n identities; a row is scored by rows of other groups only.

    Returns:
        The area under the ROC curve of the best view, and the name of the view.
    """
    _, group_codes = np.unique(groups, return_inverse=True)
    # A fixed shuffle of the groups: their numbers may grow with time.
    folds = np.random.default_rng(0).permutation(int(group_codes.max()) + 1)[group_codes] % _FOLDS
    best = (0.5, "values")
    for name, codes in _views(column):
        area = auc(labels, _cross_fitted_rate(codes, labels, folds))
        if area > best[0]:
            best = (area, name)
    return best


def _views(column: pd.Series) -> list[tuple[str, Array]]:
    codes, unique = pd.factorize(column, use_na_sentinel=False)
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if len(unique) <= _BINS:
        return [("values", codes)]
    if numeric:
        ranks = column.rank(method="average", pct=True).to_numpy(dtype=float, na_value=0.0)
        views = [("size", np.ceil(ranks * _BINS).astype(np.int64))]
        values = column.to_numpy(dtype=float, na_value=np.nan)
        known = np.isfinite(values)
        whole = np.where(known, values, 0.0)
        if (whole == np.floor(whole)).all() and np.abs(whole).max() < 2**53:
            for modulus in _MODULI:
                rest = np.where(known, whole.astype(np.int64) % modulus, modulus)
                views.append((f"remainder by {modulus}", rest))
        return views
    texts = pd.Series(unique).astype("string").fillna("")
    parts: dict[str, pd.Series] = {
        "first character": texts.str[:1],
        "last character": texts.str[-1:],
        "length": texts.str.len(),
    }
    return [("values", codes), *((name, pd.factorize(part)[0][codes]) for name, part in parts.items())]


def _cross_fitted_rate(codes: Array, labels: Array, folds: Array) -> Array:
    size = int(codes.max()) + 1
    rates = np.empty(len(labels))
    for fold in range(_FOLDS):
        inside = folds == fold
        rows = np.bincount(codes[~inside], minlength=size)
        events = np.bincount(codes[~inside], weights=labels[~inside], minlength=size)
        base = labels[~inside].mean() if (~inside).any() else 0.5
        # The offset by fold cannot rank rows: each fold's rates are taken relative to its own base rate.
        rates[inside] = ((events + _PRIOR_ROWS * base) / (rows + _PRIOR_ROWS) - base)[codes[inside]]
    return rates


def later_rows(groups: Array, order: Array) -> Array:
    """Whether a row of the same group comes later: n numbers, 0 or 1."""
    last = pd.Series(order).groupby(groups).transform("max").to_numpy()
    return np.asarray(order < last, dtype=np.int64)


def feature_measures(
    inputs: pd.DataFrame, labels: Array, groups: Array, order: Array, identifiers: Sequence[str] = ()
) -> tuple[Measure, ...]:
    """Score every column alone against the label, and against what only the future knows.

    ``feature_auc``: area under the ROC curve of a column alone. A copy of the label has 1, a leak of it
    less, but more than any honest column. ``hindsight_auc``: the same against "this group has a later row",
    which no column may know; a feature computed from later rows has nearly 1.

    Args:
        inputs: n training rows with every column that the model reads, and the identifiers, which are scored
            too: a label that was shuffled into an id reaches a model by whoever uses the id next.
        labels: n labels, 0 or 1.
        groups: n identities, such as the patient.
        order: n positions in time.
        identifiers: Columns that name a row or a group; not scored for hindsight.
    """
    hindsight = later_rows(groups, order)
    judgeable = 0 < hindsight.mean() < 1
    measures = []
    for name in inputs.columns:
        area, view = column_skill(inputs[name], labels, groups)
        text = f"{name} alone ranks the label of {len(labels)} training rows with AUC {area:.3f} ({view})"
        measures.append(Measure(metric="feature_auc", subject=name, value=area, evidence=text))
        if name in identifiers or not judgeable:
            continue
        area, view = column_skill(inputs[name], hindsight, groups)
        text = f"{name} alone tells with AUC {area:.3f} ({view}) whether its group has a later training row"
        measures.append(Measure(metric="hindsight_auc", subject=name, value=area, evidence=text))
    if not judgeable:
        measures.append(not_judged("hindsight_auc", "no group has a later row among the training rows"))
    return tuple(measures)


def name_measures(
    features: Sequence[str], forbidden: Sequence[str], frame: pd.DataFrame, groups: Array
) -> tuple[Measure, ...]:
    """``forbidden_features`` (label and identifiers that the model reads) and ``distinct_share`` of features.

    Args:
        frame: Training rows.
        groups: Their identities; the share counts distinct values per group.
    """
    found = [name for name in features if name in forbidden]
    text = f"the model reads {found}" if found else f"the model reads none of {list(forbidden)}"
    persons = len(np.unique(groups))
    shares = [
        Measure(
            metric="distinct_share",
            subject=name,
            value=(distinct := int(frame[name].nunique())) / persons,
            evidence=f"{name} has {distinct} values in {len(frame)} rows of {persons} groups",
        )
        for name in features
        if not pd.api.types.is_float_dtype(frame[name])
    ]
    shares = shares or [not_judged("distinct_share", "every feature is a measurement, and no name")]
    return (Measure(metric="forbidden_features", value=len(found), evidence=text), *shares)


def split_measures(
    train_groups: Array, test_groups: Array, train_order: Array, test_order: Array
) -> tuple[Measure, ...]:
    """``shared_groups`` on both sides of the split and ``future_rows``: training rows not before the test."""
    shared = np.intersect1d(train_groups, test_groups)
    text = f"{len(shared)} groups have training and test rows"
    if len(shared):
        text = f"{text}: {int(np.isin(test_groups, shared).sum())} of {len(test_groups)} test rows are theirs"
    first = test_order.min()
    late = int((train_order >= first).sum())
    later = f"{late} of {len(train_order)} training rows are not earlier than the first test row"
    return (
        Measure(metric="shared_groups", value=len(shared), evidence=text),
        Measure(metric="future_rows", value=late, evidence=later),
    )


def share_measures(alone: Sequence[Measure], features: Sequence[str], model_auc: float) -> tuple[Measure, ...]:
    """``skill_share`` of each feature: what it reaches alone of the model's AUC above 0.5.

    Near 1 the model adds nothing to that one column. It is no attribution: columns that say the same each have
    a high share, and one that helps only together with others has a low one.

    Args:
        alone: What :func:`feature_measures` found.
        model_auc: The model's AUC on rows that it was not trained on.
    """
    if not model_auc > 0.5:
        reason = f"the model ranks the test rows with AUC {model_auc:.3f}: there is no skill to share"
        return (not_judged("skill_share", reason),)
    return tuple(
        Measure(
            metric="skill_share",
            subject=measure.subject,
            value=(measure.value - 0.5) / (model_auc - 0.5),
            evidence=f"{measure.evidence}; the model ranks the test rows with AUC {model_auc:.3f}",
        )
        for measure in alone
        if measure.metric == "feature_auc" and measure.subject in features and measure.value is not None
    )
