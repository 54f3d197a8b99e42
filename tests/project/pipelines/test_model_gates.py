"""Each gate on a model refuses the model that breaks it; `test_leaks` has the leaks and the honest model."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from labs.model_bench import Bench, failures, fit, quick_config
from sklearn.neighbors import KNeighborsClassifier

from zenml_mlops.gates import model_checks
from zenml_mlops.gates.limits import GateLimits, MetricReport, judge
from zenml_mlops.gates.model_checks import champion_measure, latency_measures, refit_measure, slice_measure
from zenml_mlops.gates.rules import LatencyRules, StabilityRules
from zenml_mlops.gates.statistics import evaluate, group_weights
from zenml_mlops.gates.subgroups import subgroup_measures
from zenml_mlops.training.examination import ChampionModel
from zenml_pipelines.use_case.schema import PATIENT_ID

CONFIG = quick_config()
LIMITS = CONFIG.gates
HERE = {
    "skill", "useful_ranking", "sharp_probabilities", "calibration", "not_worse_than_champion", "fair_ranking",
    "fair_recall", "fair_selection", "fair_calibration", "stable_refits", "stable_over_time", "quick_answer",
    "quick_batch",
}  # fmt: skip
LEAKS = {
    "too_good_to_be_true", "no_feature_explains_all", "no_feature_carries_all", "no_hindsight",
    "no_label_or_id_as_feature", "no_id_like_feature", "no_shared_patients", "no_future_rows",
}  # fmt: skip


def test_every_gate_is_tried_somewhere():
    assert set(LIMITS) == HERE | LEAKS


def judged(*gates, metrics: MetricReport | None = None, measures=()):
    return failures(judge(metrics, GateLimits(limits={name: LIMITS[name] for name in gates}), measures))


# ---------------------------------------------------------------- metrics, by the worse end of their interval


def world(rows=12_000, skill=0.3):
    """Labels that follow a risk, the risk itself, and patients of two rows each."""
    random = np.random.default_rng(3)
    risks = np.clip(random.beta(1.2, 9.0, rows) + skill * random.beta(0.5, 12, rows), 0, 1)
    return (random.random(rows) < risks).astype(int), risks, np.arange(rows) // 2


def metrics_of(labels, risks, groups):
    return evaluate(labels, risks, groups, unit="patient", resamples=60, confidence=0.95, seed=1)


METRICS = ("skill", "useful_ranking", "sharp_probabilities", "calibration")


def test_a_true_risk_passes():
    labels, risks, groups = world()
    assert judged(*METRICS, metrics=metrics_of(labels, risks, groups)) == set()


@pytest.mark.parametrize(
    ("gate", "change"),
    [
        ("skill", lambda risks: np.random.default_rng(0).permutation(risks)),
        ("useful_ranking", lambda risks: np.random.default_rng(0).permutation(risks)),
        ("sharp_probabilities", lambda risks: np.clip(risks + 0.25, 0, 1)),
        ("calibration", lambda risks: risks / 3),
    ],
)
def test_a_metric_out_of_its_limit_is_refused(gate, change):
    labels, risks, groups = world()
    assert (gate, None) in judged(*METRICS, metrics=metrics_of(labels, change(risks), groups))


def test_a_good_value_on_few_rows_is_refused_for_its_interval():
    labels, risks, groups = world(rows=400)
    random = np.random.default_rng(0)
    metrics = metrics_of(labels, np.where(random.random(400) < 0.55, random.permutation(risks), risks), groups)
    assert metrics.metrics["roc_auc"].value > LIMITS["skill"].minimum
    assert ("skill", None) in judged("skill", metrics=metrics)


# ---------------------------------------------------------------- the champion


def test_the_incumbent_wins_against_a_weaker_challenger(bench: Bench):
    weak = fit(bench.config, bench.train.head(1500))
    incumbent = ChampionModel("version 1 in production", bench.honest, bench.train[PATIENT_ID].unique())
    report = bench.examine(bench.train, bench.test, weak, incumbent)
    (verdict,) = [found for found in report.failures if found.gate == "not_worse_than_champion"]
    assert verdict.number < LIMITS["not_worse_than_champion"].minimum
    assert "version 1 in production" in verdict.evidence
    other_way = bench.examine(
        bench.train, bench.test, bench.honest, ChampionModel("version 2", weak, bench.train[PATIENT_ID].unique())
    )
    assert "not_worse_than_champion" not in {gate for gate, _ in failures(other_way)}


def test_rows_that_the_champion_knows_decide_nothing(bench: Bench):
    known = ChampionModel("version 1 in production", bench.honest, bench.test[PATIENT_ID].unique())
    report = bench.examine(bench.train, bench.test, bench.honest, known)
    (verdict,) = [found for found in report.verdicts if found.gate == "not_worse_than_champion"]
    assert verdict.passed
    assert "undecided" in verdict.not_judged


def test_a_tie_is_within_the_margin():
    labels, risks, groups = world()
    measure = champion_measure(
        labels,
        risks,
        risks,
        group_weights(groups, 60, 1),
        CONFIG.examination.champion,
        confidence=0.95,
        champion="itself",
    )
    assert (measure.value, measure.lower, measure.upper) == (0, 0, 0)
    assert judged("not_worse_than_champion", measures=[measure]) == set()


# ---------------------------------------------------------------- groups of people

FAIR = ("fair_ranking", "fair_recall", "fair_selection", "fair_calibration")


def groups_of(change, rows=9_000, share=0.25):
    """What is found if the risks of one group of a share of the people are changed."""
    labels, risks, patients = world(rows)
    inside = (patients % 100) < 100 * share
    worse = risks.copy()
    worse[inside] = change(risks[inside])
    frame = pd.DataFrame({"race": np.where(inside, "B", "A"), "gender": "x", "age": "y"})
    return subgroup_measures(
        frame,
        labels,
        worse,
        group_weights(patients, 60, 1),
        CONFIG.examination.subgroups,
        threshold=CONFIG.decision_threshold,
        confidence=0.95,
    )


def test_groups_that_are_served_alike_pass():
    assert judged(*FAIR, measures=groups_of(lambda risks: risks)) == set()


@pytest.mark.parametrize(
    ("gate", "change"),
    [
        ("fair_ranking", lambda risks: np.random.default_rng(0).permutation(risks)),
        ("fair_recall", lambda risks: risks / 4),
        ("fair_selection", lambda risks: np.clip(risks + 0.3, 0, 1)),
        ("fair_calibration", lambda risks: np.clip(risks + 0.15, 0, 1)),
    ],
)
def test_a_group_that_is_served_worse_is_named(gate, change):
    assert (gate, "race=B") in judged(*FAIR, measures=groups_of(change))


def test_a_group_too_small_to_judge_is_reported_with_its_numbers():
    measures = groups_of(lambda risks: np.clip(risks + 0.3, 0, 1), share=0.02)
    assert judged(*FAIR, measures=measures) == set()
    small = [m for m in measures if m.subject == "race=B"]
    assert len(small) == 4
    assert all("reported, not evaluated" in m.not_judged for m in small)
    assert all(m.value is not None for m in small)


# ---------------------------------------------------------------- stability and latency


def test_a_model_that_depends_on_its_sample_is_refused():
    random = np.random.default_rng(5)
    frame, labels = pd.DataFrame({"x": random.random(90), "y": random.random(90)}), random.integers(0, 2, 90)
    measure = refit_measure(
        KNeighborsClassifier(1), frame, labels, np.arange(90), StabilityRules(folds=5, rows=90), seed=1
    )
    assert judged("stable_refits", measures=[measure]) == {("stable_refits", None)}


def test_skill_that_fades_is_refused_and_lasting_skill_passes():
    labels, risks, _ = world()
    order, rules = np.arange(len(labels)), CONFIG.examination.stability
    assert judged("stable_over_time", measures=[slice_measure(labels, risks, order, rules)]) == set()
    half = len(labels) // 2
    fading = np.concatenate([risks[:half], np.random.default_rng(0).permutation(risks[half:])])
    assert judged("stable_over_time", measures=[slice_measure(labels, fading, order, rules)]) == {
        ("stable_over_time", None)
    }


def test_a_slow_model_is_refused(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(model_checks, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    def slow(frame):
        limit = LIMITS["quick_answer" if len(frame) == 1 else "quick_batch"].maximum
        now[0] += limit / 1000 + 0.01
        return np.zeros(len(frame))

    rules = LatencyRules(single_rows=2, batches=1, batch_rows=2)
    measures = latency_measures(slow, pd.DataFrame({"x": [1, 2]}), rules)
    assert judged("quick_answer", "quick_batch", measures=measures) == {
        ("quick_answer", None),
        ("quick_batch", None),
    }
