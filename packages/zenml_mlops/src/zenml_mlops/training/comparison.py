"""Champion and challenger on the same rows: paired bootstrap of the differences, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from zenml_airflow.contracts.frozen import Frozen
from zenml_airflow.contracts.model_records import Comparison, ComparisonVerdict, Difference
from zenml_mlops.data.contract import Contract
from zenml_mlops.gates.rules import BootstrapConfig, ComparisonRules, SubgroupRules
from zenml_mlops.gates.statistics import LESS_IS_BETTER, group_weights, interval, resampled_metrics, weighted_auc
from zenml_mlops.gates.subgroups import group_names

Array = npt.NDArray[Any]


class VersionPair(Frozen):
    """The numbers of the compared versions."""

    challenger: int
    champion: int


def compare(
    versions: VersionPair,
    frame: pd.DataFrame,
    labels: Array,
    risks: tuple[Array, Array],
    *,
    contract: Contract,
    bootstrap: BootstrapConfig,
    subgroups: SubgroupRules,
    rules: ComparisonRules,
    seed: int,
) -> Comparison:
    """Compare two models on labelled rows that neither trained on.

    A resample draws units of rows, and both models are measured on the same resample: what makes a row easy or
    hard for both cancels out, so the interval of the difference is narrower than the two models' own ones.

    Args:
        frame: n rows in time order, with the columns of the groups.
        labels: n labels, 0 or 1.
        risks: n probabilities of the challenger, and n of the champion.
        contract: What the rows are: their ids tell time, and rows of one group belong together.
    """
    positives = int(labels.sum())
    known: dict[str, Any] = {**versions.model_dump(), "rows": len(frame), "positives": positives}
    if positives < rules.min_positives or positives == len(labels):
        return Comparison(
            **known,
            verdict=ComparisonVerdict.UNDECIDED,
            reason=f"{len(frame)} rows with {positives} events are new to both, {rules.min_positives} are needed.",
        )
    weights = group_weights(frame[contract.group_id].to_numpy(), bootstrap.resamples, seed)
    both = [resampled_metrics(labels, found, _with_all(weights), tuple(rules.margins)) for found in risks]
    differences = tuple(
        _difference(name, [each[name] for each in both], labels, margin, bootstrap.confidence)
        for name, margin in rules.margins.items()
    )
    order = frame[contract.row_id]
    groups = _by_group(frame, labels, risks, weights, subgroups, rules, bootstrap.confidence)
    verdict, reason = _decide(differences, groups, rules)
    return Comparison(
        **known,
        verdict=verdict,
        reason=reason,
        first=int(order.iloc[0]),
        last=int(order.iloc[-1]),
        confidence=bootstrap.confidence,
        differences=differences,
        groups=groups,
        slices=_by_time(order, contract.case, labels, risks, rules.slices),
    )


def _with_all(weights: Array) -> Array:
    """The resamples with all rows, each once, before them."""
    return np.vstack([np.ones((1, weights.shape[1]), dtype=weights.dtype), weights])


def _difference(
    name: str,
    both: Sequence[Array],
    labels: Array,
    margin: float,
    confidence: float,
    subject: str | None = None,
    *,
    judged: bool = True,
) -> Difference:
    """The difference of one metric; the first number of each array is that on all rows, the others resamples."""
    gains = (both[1] - both[0]) if name in LESS_IS_BETTER else (both[0] - both[1])
    lower, upper = interval(gains[1:], confidence) if judged else (None, None)
    return Difference(
        metric=name,
        subject=subject,
        rows=len(labels),
        positives=int(labels.sum()),
        challenger=float(both[0][0]),
        champion=float(both[1][0]),
        gain=float(gains[0]),
        lower=lower,
        upper=upper,
        margin=margin if judged else None,
        verdict=None if lower is None or upper is None else judge_gain(lower, upper, margin),
    )


def judge_gain(lower: float, upper: float, margin: float) -> ComparisonVerdict:
    """What the interval of a gain says: surely better, at most the margin worse, surely worse, or nothing."""
    if lower > 0:
        return ComparisonVerdict.BETTER
    if lower >= -margin:
        return ComparisonVerdict.NOT_WORSE
    return ComparisonVerdict.WORSE if upper < 0 else ComparisonVerdict.UNDECIDED


def _decide(
    differences: tuple[Difference, ...], groups: tuple[Difference, ...], rules: ComparisonRules
) -> tuple[ComparisonVerdict, str]:
    """The worst speaks for all; a group that is too small to tell stops nobody, one that is surely worse does."""
    for verdict, found in (
        (ComparisonVerdict.WORSE, [d for d in (*differences, *groups) if d.verdict is ComparisonVerdict.WORSE]),
        (ComparisonVerdict.UNDECIDED, [d for d in differences if d.verdict is ComparisonVerdict.UNDECIDED]),
    ):
        if found:
            return verdict, "; ".join(f"{d} (margin {d.margin:g})" for d in found)
    primary = next(d for d in differences if d.metric == rules.primary)
    if primary.verdict is ComparisonVerdict.BETTER:
        return ComparisonVerdict.BETTER, str(primary)
    return ComparisonVerdict.NOT_WORSE, f"{primary} (margin {primary.margin:g}), and no other metric is worse"


def _by_group(
    frame: pd.DataFrame,
    labels: Array,
    risks: tuple[Array, Array],
    weights: Array,
    subgroups: SubgroupRules,
    rules: ComparisonRules,
    confidence: float,
) -> tuple[Difference, ...]:
    found = []
    for column in subgroups.columns:
        values = group_names(frame[column])
        for group in sorted(values.unique()):
            inside = (values == group).to_numpy()
            events = int(labels[inside].sum())
            if not 0 < events < inside.sum():
                continue
            judged = bool(inside.sum() >= subgroups.min_rows and events >= subgroups.min_positives)
            drawn, name = _with_all(weights[:, inside]), f"{column}={group}"
            areas = [weighted_auc(labels[inside], each[inside], drawn) for each in risks]
            found.append(
                _difference("roc_auc", areas, labels[inside], rules.group_margin, confidence, name, judged=judged)
            )
    return tuple(found)


def _by_time(
    order: pd.Series, case: str, labels: Array, risks: tuple[Array, Array], slices: int
) -> tuple[Difference, ...]:
    found = []
    for part in np.array_split(np.arange(len(labels)), slices):
        if len(part) == 0 or labels[part].min() == labels[part].max():
            continue
        once = np.ones((1, len(part)))
        areas = [weighted_auc(labels[part], each[part], once) for each in risks]
        name = f"{case}s {int(order.iloc[part[0]])} to {int(order.iloc[part[-1]])}"
        found.append(_difference("roc_auc", areas, labels[part], 0.0, 0.0, name, judged=False))
    return tuple(found)
