"""What is flagged and what becomes an alert: the published data, clean days, and planted faults."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from labs.model_bench import Bench
from labs.pipeline_workspace import settings
from scipy.stats import chi2_contingency, ks_2samp

from zenml_mlops.data.holdout import feed_rows, training_rows
from zenml_mlops.data.profile import Profile, mean_risk, profile_rows
from zenml_mlops.inference.scoring import score
from zenml_mlops.monitoring.alerts import open_alerts
from zenml_mlops.monitoring.checks import (
    Check,
    CheckKind,
    drift_checks,
    prediction_check,
    quality_checks,
    volume_check,
)
from zenml_mlops.monitoring.config import MonitoringConfig, MonitoringRules
from zenml_mlops.training.splitting import split_in_time
from zenml_pipelines.use_case.contract import CONTRACT
from zenml_pipelines.use_case.features import GROUPING
from zenml_pipelines.use_case.schema import read_rows

FIRST = date(2026, 1, 1)
HOLDOUT = settings()["data"]["holdout_fraction"]
RULES = MonitoringConfig.from_settings(settings()).rules
SCHEMA = CONTRACT


def profiled(bench: Bench, frame: pd.DataFrame) -> Profile:
    return profile_rows([frame], SCHEMA, GROUPING, [score(bench.honest, frame)])


@pytest.fixture(scope="module")
def evaluated(real_root: Path) -> pd.DataFrame:
    """The published rows that a version is evaluated on."""
    rows = read_rows(real_root / "raw" / "diabetic_data.csv")
    return split_in_time(training_rows(rows, CONTRACT.row_id, HOLDOUT), CONTRACT, 0.20)[1]


@pytest.fixture(scope="module")
def reference(bench: Bench, evaluated: pd.DataFrame) -> Profile:
    return profiled(bench, evaluated)


def watch(bench: Bench, reference: Profile, days: list[pd.DataFrame]) -> dict[date, list[Check]]:
    """The checks of each day, as the pipeline makes them."""
    found: dict[date, list[Check]] = {}
    history: list[int] = []
    for number, rows in enumerate(days):
        living = rows.loc[CONTRACT.in_scope(rows)]
        now = profiled(bench, living)
        found[FIRST + timedelta(days=number)] = [
            *drift_checks(reference, now, RULES),
            *prediction_check(reference, now, RULES),
            *quality_checks(reference, now, (len(rows) - len(living), len(rows)), RULES),
            *volume_check(len(rows), history[-RULES.window_days :], RULES),
        ]
        history.append(len(rows))
    return found


def alarms(found: dict[date, list[Check]]) -> list[tuple[date, str]]:
    """Day and key of every alert that was opened, as daily runs would have told of them."""
    days = list(found)
    told = []
    for number, day in enumerate(days):
        until = {each: found[each] for each in days[: number + 1]}
        told += [(day, alert.key) for alert in open_alerts(until, RULES.persistence) if alert.is_new]
    return told


def clean_days(rows: pd.DataFrame, count: int, seed: int) -> list[pd.DataFrame]:
    random = np.random.default_rng(seed)
    return [
        rows.sample(n=int(random.poisson(100)), replace=True, random_state=int(random.integers(2**31)))
        for _ in range(count)
    ]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_ninety_clean_days_raise_at_most_one_false_alarm(bench, evaluated, reference, seed):
    assert len(alarms(watch(bench, reference, clean_days(evaluated, 90, seed)))) <= 1


def test_the_published_days_raise_at_most_one_alarm_in_ninety(bench, reference, real_root):
    rows = feed_rows(read_rows(real_root / "raw" / "diabetic_data.csv"), CONTRACT.row_id, HOLDOUT)
    volumes = np.random.default_rng(5).poisson(100, size=90)
    ends = np.cumsum(volumes)
    days = [rows.iloc[end - volume : end] for end, volume in zip(ends, volumes, strict=True)]
    assert len(alarms(watch(bench, reference, days))) <= 1


def shifted(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(num_lab_procedures=(rows["num_lab_procedures"] + 15))


def renamed(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(race=rows["race"].replace({"Caucasian": "White"}))


def emptied(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(payer_code=rows["payer_code"].where(np.arange(len(rows)) % 3 == 0))


@pytest.mark.parametrize(
    ("fault", "key"),
    [
        (shifted, "drift:num_lab_procedures"),
        (renamed, "drift:race"),
        (renamed, "quality:unseen race"),
        (emptied, "quality:missing payer_code"),
    ],
)
def test_a_planted_fault_is_found_on_its_first_day_and_alarms_on_the_second(
    bench, evaluated, reference, fault, key
):
    days = clean_days(evaluated, 20, seed=4)
    days[12:] = [fault(rows) for rows in days[12:]]
    found = watch(bench, reference, days)
    began = FIRST + timedelta(days=12)
    assert next(day for day, checks in found.items() if any(c.flagged and c.key == key for c in checks)) == began
    told = alarms(found)
    assert [day for day, alarm in told if alarm == key] == [began + timedelta(days=1)], (
        "told once, though it lasts"
    )
    assert not [alarm for day, alarm in told if day < began]


def test_half_the_rows_alarm_on_the_same_day_and_once(bench, evaluated, reference):
    days = clean_days(evaluated, 20, seed=6)
    days[12:14] = [rows.iloc[: len(rows) // 2] for rows in days[12:14]]
    told = alarms(watch(bench, reference, days))
    assert told == [(FIRST + timedelta(days=12), "volume:rows")]


def test_a_fault_of_one_day_is_a_finding_and_no_alert(bench, evaluated, reference):
    days = clean_days(evaluated, 20, seed=4)
    days[12] = renamed(days[12])
    found = watch(bench, reference, days)
    assert any(check.flagged and check.subject == "race" for check in found[FIRST + timedelta(days=12)])
    assert alarms(found) == []


def test_the_tests_are_those_of_scipy_on_the_rows_themselves(bench, evaluated, reference):
    rows = clean_days(evaluated, 1, seed=8)[0]
    found = {check.subject: check for check in drift_checks(reference, profiled(bench, rows), RULES)}
    column = "num_medications"
    expected = ks_2samp(evaluated[column], rows[column], method="asymp")
    assert found[column].effect == pytest.approx(expected.statistic)
    assert found[column].p == pytest.approx(expected.pvalue)
    table = [frame["gender"].value_counts()[["Female", "Male"]].tolist() for frame in (evaluated, rows)]
    assert found["gender"].p == pytest.approx(chi2_contingency(table, correction=False).pvalue, rel=0.05)


def test_a_certain_difference_that_is_small_is_not_flagged(bench, evaluated, reference):
    many = evaluated.assign(num_medications=evaluated["num_medications"] + 1)
    (check,) = [c for c in drift_checks(reference, profiled(bench, many), RULES) if c.subject == "num_medications"]
    assert check.q < RULES.drift.false_discovery_rate
    assert not check.flagged


def test_batches_add_up_to_the_same_profile(bench, evaluated, reference):
    risks = score(bench.honest, evaluated)
    parts = [evaluated.iloc[start : start + 500] for start in range(0, len(evaluated), 500)]
    assert profile_rows(parts, SCHEMA, GROUPING, np.array_split(risks, 7)) == reference
    assert mean_risk(reference.risks) == pytest.approx(risks.mean(), abs=0.003)


@pytest.mark.parametrize("history", [[100] * 6, []])
def test_without_a_history_no_volume_is_unusual(history):
    assert volume_check(3, history, RULES) == []


def flagged_on(*days: int, of: int, kind: CheckKind = CheckKind.DRIFT) -> dict[date, list[Check]]:
    return {
        FIRST + timedelta(days=number): [
            Check(
                kind=kind,
                subject="x",
                test="t",
                effect=1.0,
                limit=0.1,
                flagged=number in days,
                evidence=f"{number}",
            )
        ]
        for number in range(of)
    }


@pytest.mark.parametrize(
    ("days", "of", "opened", "is_new"),
    [
        ((4,), 5, None, None),
        ((3, 4), 5, 4, True),
        ((2, 4), 5, 4, True),
        ((1, 4), 5, None, None),
        ((2, 3), 5, 3, False),
        ((2, 3), 7, None, None),
        ((0, 1, 3, 5, 6), 7, 1, False),
        ((0, 1, 5, 6), 7, 6, True),
    ],
)
def test_persistence_and_one_alert_while_it_lasts(days, of, opened, is_new):
    alerts = open_alerts(flagged_on(*days, of=of), RULES.persistence)
    found = [(alert.opened, alert.is_new) for alert in alerts]
    assert found == ([] if opened is None else [(FIRST + timedelta(days=opened), is_new)])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"persistence": {"drift": {"flagged": 4, "of": 3}}}, "4 flagged days cannot lie in 3"),
        ({"retrain_on": ["weather"]}, "weather"),
        ({"window_days": 7, "persistence": {"drift": {"flagged": 1, "of": 9}}}, "looks back 9 days"),
    ],
)
def test_rules_that_cannot_be_kept_are_refused(change, says):
    rules = RULES.model_dump()
    change = {**change, "persistence": {**rules["persistence"], **change.get("persistence", {})}}
    with pytest.raises(ValueError, match=says):
        MonitoringRules.model_validate({**rules, **change})
