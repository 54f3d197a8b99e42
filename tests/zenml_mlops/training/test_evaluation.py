"""The metrics agree with scikit-learn, and the intervals behave."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from zenml_mlops.gates.statistics import _Ranking, evaluate

QUICK = {"unit": "patient", "resamples": 20}


def _sample(n: int = 3_000, seed: int = 0):
    random = np.random.default_rng(seed)
    risks = random.beta(1, 8, n)
    return (random.random(n) < risks).astype(int), risks, random.integers(0, n // 2, n)


def test_point_values_agree_with_scikit_learn():
    labels, risks, groups = _sample()
    risks = risks.round(2)  # with ties
    metrics = evaluate(labels, risks, groups, **QUICK, confidence=0.9, seed=1).metrics
    assert metrics["roc_auc"].value == pytest.approx(roc_auc_score(labels, risks))
    assert metrics["average_precision"].value == pytest.approx(average_precision_score(labels, risks))
    assert metrics["brier"].value == pytest.approx(brier_score_loss(labels, risks))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_weighted_metrics_agree_with_scikit_learn(seed):
    labels, risks, _ = _sample(200, seed)
    labels[:2] = [0, 1]
    order = np.argsort(-risks)
    labels, risks = labels[order], risks[order]
    weights = np.random.default_rng(seed).integers(0, 4, 200).astype(float)
    weights[[np.argmin(labels), np.argmax(labels)]] = 1.0
    found = _Ranking(labels, risks).metrics(weights[None, :])
    assert found["roc_auc"][0] == pytest.approx(roc_auc_score(labels, risks, sample_weight=weights))
    expected = average_precision_score(labels, risks, sample_weight=weights)
    assert found["average_precision"][0] == pytest.approx(expected)


def test_calibrated_risks_have_slope_one_and_little_error():
    labels, risks, groups = _sample(20_000)
    metrics = evaluate(labels, risks, groups, **QUICK, confidence=0.95, seed=1).metrics
    assert metrics["calibration_slope"].lower < 1 < metrics["calibration_slope"].upper
    assert metrics["calibration_intercept"].lower < 0 < metrics["calibration_intercept"].upper
    assert metrics["expected_calibration_error"].value < 0.01
    doubled = evaluate(labels, risks / 2, groups, **QUICK, confidence=0.95, seed=1).metrics
    assert doubled["expected_calibration_error"].value > 0.04


def test_constant_risk_ranks_like_chance():
    labels, _, groups = _sample()
    metrics = evaluate(labels, np.full(len(labels), 0.1), groups, **QUICK, confidence=0.95, seed=1).metrics
    assert metrics["roc_auc"].value == pytest.approx(0.5)


def test_repeated_patients_widen_the_interval():
    labels, risks, _ = _sample(500)
    labels, risks = np.repeat(labels, 8), np.repeat(risks, 8)
    kwargs = {"unit": "patient", "resamples": 100, "confidence": 0.95, "seed": 1}
    by_patient = evaluate(labels, risks, np.repeat(np.arange(500), 8), **kwargs).metrics["roc_auc"]
    by_row = evaluate(labels, risks, np.arange(4_000), **kwargs).metrics["roc_auc"]
    assert by_patient.upper - by_patient.lower > 1.5 * (by_row.upper - by_row.lower)


def test_one_class_is_an_error():
    with pytest.raises(ValueError, match="with and without the event"):
        evaluate(np.zeros(10), np.full(10, 0.1), np.arange(10), **QUICK, confidence=0.9, seed=0)


def test_risks_outside_zero_and_one_are_an_error():
    with pytest.raises(ValueError, match="probabilities"):
        evaluate(
            np.array([0, 1]),
            np.array([0.5, 1.5]),
            np.arange(2),
            unit="patient",
            resamples=20,
            confidence=0.9,
            seed=0,
        )
