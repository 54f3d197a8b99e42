"""A profile: how often each value of each input occurs, and how the risks are distributed.

A version's profile is made of the rows that it was evaluated on. They are the latest ones that it could know, so
what differs from them came after; the rows it was trained on reach back years and differ on every single day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from zenml_airflow.contracts.frozen import Frozen
from zenml_mlops.data.contract import ColumnRule, ColumnType, Contract
from zenml_mlops.data.use_case import Grouping

PROFILE_ARTIFACT: Final = "monitoring_profile"
"""Name of the profile among the artifacts of a model version."""

RISK_BINS: Final = 200
"""Number of bins of equal width from 0 to 1 in which risks are counted."""

_DIGITS: Final = 3
"""Significant digits by which floating-point values are counted: at most 900 values a power of ten."""


class Kind(StrEnum):
    """How two distributions of an input are compared."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"


class FeatureProfile(Frozen):
    """One input of the model.

    Attributes:
        counts: Rows by value; numbers are written as text.
    """

    kind: Kind
    counts: dict[str, int]
    missing: int

    @property
    def present(self) -> int:
        """Rows with a value."""
        return sum(self.counts.values())

    @property
    def rows(self) -> int:
        """All rows."""
        return self.present + self.missing


class Profile(Frozen):
    """What some rows look like, without any of them.

    Attributes:
        risks: Rows by bin of the risk; their sum is smaller than ``rows`` where rows were refused.
    """

    rows: int
    features: dict[str, FeatureProfile]
    risks: tuple[int, ...]


def profile_rows(
    frames: Iterable[pd.DataFrame],
    contract: Contract,
    grouping: Grouping,
    risks: Iterable[npt.NDArray[np.float64]],
) -> Profile:
    """Count the values of rows that come batch by batch.

    A column with more codes than rows a day is counted by group, as the model reads it; a floating-point
    one by its first digits.

    Args:
        frames: The rows, with the columns of the contract.
        contract: The one that stands beside the model; the inputs among its columns are counted.
        risks: The risks of the rows that were scored.
    """
    rules = [(grouping.feature(rule.name), rule) for rule in contract.columns if rule.feature]
    counted: dict[str, Counter[str]] = {name: Counter() for name, _ in rules}
    missing: Counter[str] = Counter()
    rows = 0
    for frame in frames:
        rows += len(frame)
        for name, rule in rules:
            values = frame[rule.name]
            missing[name] += int(values.isna().sum())
            values = values[values.notna()]
            if rule.type is ColumnType.INTEGER:
                # A column with gaps comes as floating point.
                values = values.astype("int64")
            elif rule.type is ColumnType.NUMBER:
                values = _rounded(values.astype("float64"))
            values = grouping.apply(rule.name, values)
            counted[name].update({str(key): int(n) for key, n in values.value_counts().items()})
    bins = np.zeros(RISK_BINS, dtype=np.int64)
    for part in risks:
        bins += np.bincount(np.minimum((part * RISK_BINS).astype(int), RISK_BINS - 1), minlength=RISK_BINS)
    features = {
        name: FeatureProfile(kind=_kind(rule), counts=dict(sorted(counted[name].items())), missing=missing[name])
        for name, rule in rules
    }
    return Profile(rows=rows, features=features, risks=tuple(int(n) for n in bins))


def mean_risk(risks: Iterable[int]) -> float | None:
    """Mean of binned risks, each taken to lie in the middle of its bin; ``None`` without a row."""
    counts: npt.NDArray[Any] = np.asarray(tuple(risks), dtype=float)
    if not counts.sum():
        return None
    return float((counts * (np.arange(len(counts)) + 0.5)).sum() / counts.sum() / len(counts))


def _rounded(values: pd.Series) -> pd.Series:
    size = np.floor(np.log10(values.abs().where(values != 0, 1.0)))
    step = 10.0 ** (size - _DIGITS + 1)
    return pd.Series((values / step).round() * step)


def _kind(rule: ColumnRule) -> Kind:
    # An integer without a largest value is a code.
    numeric = rule.type is ColumnType.NUMBER or (rule.type is ColumnType.INTEGER and rule.maximum is not None)
    return Kind.NUMERIC if numeric else Kind.CATEGORICAL
