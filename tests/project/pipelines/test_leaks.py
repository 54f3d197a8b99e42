"""Leaks planted into the published data, each caught by its gate; the honest model passes the same limits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from labs.model_bench import failures

from zenml_pipelines.use_case.contract import CONTRACT
from zenml_pipelines.use_case.schema import ENCOUNTER_ID, PATIENT_ID

CARRIER = "num_medications"
"""The honest column that a planted one replaces: the model's inputs stay those of the contract."""


def test_the_honest_model_passes_every_limit(bench):
    report = bench.examine(bench.train, bench.test, model=bench.honest)
    assert failures(report) == set()
    judged = {verdict.gate for verdict in report.verdicts if verdict.not_judged is None}
    assert judged == set(bench.config.gates) - {"not_worse_than_champion"}


def replaced(train, test, make):
    """Both parts with the carrier made anew, as one frame in time order and then apart again."""
    both = pd.concat([train, test]).sort_values(ENCOUNTER_ID, kind="stable")
    both[CARRIER] = make(both)
    return both.loc[both.index.isin(train.index)], both.loc[both.index.isin(test.index)]


def noisy_label(spread):
    def make(both):
        noise = np.random.default_rng(0).normal(0, spread, len(both))
        return np.round(20 + 10 * (CONTRACT.events(both) + noise)).clip(0, 200).astype("int64")

    return make


def later_visits(known):
    """How many encounters of the patient are still to come, for a share of the patients; 0 for the others."""

    def make(both):
        to_come = both.groupby(PATIENT_ID).cumcount(ascending=False)
        told = both[PATIENT_ID] % 100 < 100 * known
        return to_come.where(told, 0).astype("int64")

    return make


def test_a_model_of_the_copied_target_is_too_good_to_be_true(bench):
    assert ("too_good_to_be_true", None) in failures(
        bench.examine(*replaced(bench.train, bench.test, CONTRACT.events))
    )


@pytest.mark.parametrize(
    ("make", "gates"),
    [
        pytest.param(
            CONTRACT.events, {"no_feature_explains_all", "no_feature_carries_all"}, id="the target, copied"
        ),
        pytest.param(
            noisy_label(0.5),
            {"no_feature_explains_all", "no_feature_carries_all"},
            id="the target with much noise",
        ),
        pytest.param(
            noisy_label(1.3), {"no_feature_explains_all"}, id="the target with so much noise that its AUC is 0.70"
        ),
        pytest.param(later_visits(1.0), {"no_hindsight"}, id="how many visits are still to come"),
        pytest.param(later_visits(0.7), {"no_hindsight"}, id="the same, known of 70 percent of the patients"),
    ],
)
def test_a_column_made_of_the_label_or_of_later_rows_is_caught_by_name(bench, make, gates):
    report = bench.examine(*replaced(bench.train, bench.test, make), model=bench.honest)
    assert {(gate, CARRIER) for gate in gates} <= failures(report)
    # The columns that nobody touched are not accused.
    assert {subject for gate, subject in failures(report) if subject in CONTRACT.features} == {CARRIER}


@pytest.mark.parametrize("patients", [1, 200])
def test_patients_on_both_sides_are_caught_however_few(bench, patients):
    train, test = bench.train, bench.test
    shared = test[PATIENT_ID].drop_duplicates().head(patients)
    moved = test.loc[test[PATIENT_ID].isin(shared)]
    report = bench.examine(pd.concat([train, moved]), test, model=bench.honest)
    assert failures(report) == {("no_shared_patients", None), ("no_future_rows", None)}
    found = next(verdict for verdict in report.failures if verdict.gate == "no_shared_patients")
    assert found.number == patients


def digits_tell(share):
    """The same ids in nearly the same order; the last digit is even where the event happened."""

    def plant(train, test):
        event = CONTRACT.events(train)
        told = np.random.default_rng(0).random(len(train)) < share
        digit = np.where(told, 1 - event, np.random.default_rng(1).integers(0, 2, len(train)))
        return train.assign(**{ENCOUNTER_ID: train[ENCOUNTER_ID] // 10 * 10 + digit}), test

    return plant


def order_tells(train, test):
    """The ids of the rows with the event are dealt out anew: they are the later ones."""
    order = np.argsort(CONTRACT.events(train).to_numpy(), kind="stable")
    ids = np.empty(len(train), dtype="int64")
    ids[order] = np.sort(train[ENCOUNTER_ID].to_numpy())
    return train.assign(**{ENCOUNTER_ID: ids}), test


def patients_tell(train, test):
    """Patients get new numbers; those who ever come back get the higher half."""
    ever = CONTRACT.events(train).groupby(train[PATIENT_ID]).max().sort_values(kind="stable")
    number = pd.Series(np.arange(1, len(ever) + 1), index=ever.index)
    return train.assign(**{PATIENT_ID: train[PATIENT_ID].map(number)}), test


@pytest.mark.parametrize(
    ("plant", "column"),
    [
        pytest.param(digits_tell(1.0), ENCOUNTER_ID, id="in the last digit"),
        pytest.param(digits_tell(0.5), ENCOUNTER_ID, id="in the last digit of half of the ids"),
        pytest.param(order_tells, ENCOUNTER_ID, id="in the order"),
        pytest.param(patients_tell, PATIENT_ID, id="in the patient's number"),
    ],
)
def test_a_label_that_was_shuffled_into_an_id_is_caught(bench, plant, column):
    report = bench.examine(*plant(bench.train, bench.test), model=bench.honest)
    assert ("no_feature_explains_all", column) in failures(report)


def test_an_id_that_the_model_reads_is_caught_by_what_it_is(bench):
    train, test = (part.assign(**{CARRIER: part[PATIENT_ID]}) for part in (bench.train, bench.test))
    assert ("no_id_like_feature", CARRIER) in failures(bench.examine(train, test, model=bench.honest))
