"""The label of synthetic encounters: two logistic models raked to the published readmission rates.

The published tables give rates by one column at a time. Additive logits, one offset per value and column, are
the least committal model that reproduces such tables; the offsets are found by raking (iterative proportional
fitting) on a pilot sample of the generated encounters, so no fitted coefficient has to be shipped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit

from zenml_pipelines.use_case.calibration import Calibration, rate_key
from zenml_pipelines.use_case.schema import Readmitted

Floats = npt.NDArray[np.float64]

_SWEEPS = 12
_RATE_FLOOR = 1e-5
_OFFSET_LIMIT = 12.0


@dataclass(frozen=True)
class _Group:
    """One column's values with their offsets; the last offset, 0, is for values without a published rate."""

    values: pd.Index[str]
    any_offsets: Floats
    early_offsets: Floats

    def codes(self, frame: pd.DataFrame, column: str) -> npt.NDArray[np.intp]:
        rows, unique = pd.factorize(frame[column])
        keys = rate_key(pd.DataFrame({column: unique}), column)
        found = self.values.get_indexer(pd.Index(keys))
        return np.asarray(np.where(found < 0, len(self.values), found)[rows])


@dataclass(frozen=True)
class LabelModel:
    """Probability of a readmission, and of it coming within 30 days, given an encounter's own columns."""

    groups: dict[str, _Group]

    def probabilities(self, frame: pd.DataFrame) -> tuple[Floats, Floats]:
        """Return P(readmitted) and P(within 30 days | readmitted), one value per row."""
        any_logit, early_logit = np.zeros(len(frame)), np.zeros(len(frame))
        for column, group in self.groups.items():
            codes = group.codes(frame, column)
            any_logit += group.any_offsets[codes]
            early_logit += group.early_offsets[codes]
        return expit(any_logit), expit(early_logit)

    def draw(self, frame: pd.DataFrame, rng: np.random.Generator) -> npt.NDArray[np.str_]:
        """Draw the label of each row, in strata of earlier admissions and discharge.

        Independent draws would leave the rate of a group of 800 rows off by 1.6 points (one standard error).
        Systematic sampling along the strata keeps each row's probability and nearly removes that noise.
        """
        p_any, p_early = self.probabilities(frame)
        shuffle = rng.random(len(frame))
        order = np.lexsort((shuffle, frame["discharge_disposition_id"].astype(str), frame["number_inpatient"]))
        readmitted = _systematic(p_any, order, rng)
        early = _systematic(np.where(readmitted, p_early, 0.0), order, rng)
        when = np.where(early, Readmitted.WITHIN_30_DAYS.value, Readmitted.LATER.value)
        return np.where(readmitted, when, Readmitted.NO.value)


def rake(pilot: pd.DataFrame, calibration: Calibration) -> LabelModel:
    """Find the offsets under which the pilot's expected rates are the published ones.

    Args:
        pilot: Encounters without label, plus the columns ``position`` and ``decile``.
        calibration: Its ``rates`` name the columns and the targets.
    """
    groups, codes, targets = {}, {}, {}
    for column, rates in calibration.rates.items():
        size = len(rates) + 1
        groups[column] = _Group(pd.Index(list(rates)), np.zeros(size), np.zeros(size))
        codes[column] = groups[column].codes(pilot, column)
        rows = np.array(list(rates.values()), dtype="float64")
        targets[column] = (rows[:, 1] / rows[:, 0], rows[:, 2] / rows[:, 0])
    any_logit, early_logit = np.zeros(len(pilot)), np.zeros(len(pilot))
    for _ in range(_SWEEPS):
        for column, group in groups.items():
            any_target, early_target = targets[column]
            any_logit += _step(group.any_offsets, any_target, codes[column], expit(any_logit))
            early_rate = expit(any_logit) * expit(early_logit)
            early_logit += _step(group.early_offsets, early_target, codes[column], early_rate)
    return LabelModel(groups)


def _systematic(
    probabilities: Floats, order: npt.NDArray[np.intp], rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Select rows with their probabilities so that any stretch of ``order`` gets its expected number."""
    passed = np.floor(np.cumsum(probabilities[order]) + rng.random())
    selected = np.empty(len(order), dtype=bool)
    selected[order] = np.diff(passed, prepend=0.0) > 0
    return selected


def _step(offsets: Floats, target: Floats, codes: npt.NDArray[np.intp], expected: Floats) -> Floats:
    """Move each offset by how far its group's expected rate is off; return the change of each row's logit."""
    size = len(offsets)
    rows = np.bincount(codes, minlength=size)[:-1]
    rates = np.bincount(codes, weights=expected, minlength=size)[:-1] / np.maximum(rows, 1)
    change = logit(np.clip(target, _RATE_FLOOR, 1 - _RATE_FLOOR)) - logit(
        np.clip(rates, _RATE_FLOOR, 1 - _RATE_FLOOR)
    )
    before = offsets[:-1].copy()
    offsets[:-1] = np.clip(np.where(rows > 0, before + change, before), -_OFFSET_LIMIT, _OFFSET_LIMIT)
    moved = np.append(offsets[:-1] - before, 0.0)
    return np.asarray(moved[codes])
