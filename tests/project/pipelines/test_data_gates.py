"""Each gate on data lets the honest frame pass and refuses the one that breaks it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from labs.model_bench import failures
from labs.pipeline_workspace import settings

from zenml_mlops.gates.data_checks import profile
from zenml_mlops.gates.limits import GateLimits, failure_message, judge
from zenml_mlops.training.examination import examine_rows
from zenml_pipelines.config import TrainingConfig
from zenml_pipelines.use_case.contract import CONTRACT

NOW = datetime(2026, 1, 4, tzinfo=UTC)
LIMITS = GateLimits(limits=TrainingConfig.from_settings(settings()).data_gates)
ROWS = 11_000


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    from zenml_pipelines.use_case.schema import read_rows
    from zenml_pipelines.use_case.synthetic import generate

    path = tmp_path_factory.mktemp("gates") / "diabetic_data.csv"
    pd.concat(generate(ROWS, seed=11)).to_csv(path, index=False, na_rep="?")
    return read_rows(path)


def examined(frame, reference, modified_at=NOW - timedelta(days=3)):
    source = "there is no champion" if reference is None else "version 1 in production"
    found, _ = examine_rows(frame, CONTRACT, reference, source, modified_at=modified_at, now=NOW)
    return judge(None, LIMITS, found.measures)


def test_honest_data_passes_every_gate(honest):
    report = examined(honest, profile(honest))
    assert failures(report) == set()
    assert {verdict.gate for verdict in report.verdicts if verdict.not_judged is None} == set(LIMITS.limits)


def test_what_there_is_nothing_to_compare_with_is_not_judged_and_said(honest):
    report = examined(honest, None)
    assert report.passed
    unjudged = {verdict.gate: verdict.evidence for verdict in report.verdicts if verdict.not_judged}
    assert sorted(unjudged) == ["like_before_in_size", "no_new_gaps", "same_columns"]
    assert set(unjudged.values()) == {"there is no champion"}


def without(frame, column, share):
    """A column without values in a share of the rows."""
    changed = frame[column].astype("object").mask([n % 100 < 100 * share for n in range(len(frame))])
    return frame.assign(**{column: changed.astype(frame[column].dtype) if changed.notna().any() else changed})


BREAKS = {
    "schema": lambda f: f.assign(gender=f["gender"].astype("object").where(f.index != f.index[0], "Robot")),
    "not_empty": lambda f: f[[]],
    "enough_rows": lambda f: f.head(100),
    "like_before_in_size": lambda f: f.head(len(f) // 3),
    "same_columns": lambda f: f.assign(surprise=1),
    "values_present": lambda f: without(f, "race", 0.9),
    "no_new_gaps": lambda f: without(f, "race", 0.3),
    "no_duplicates": lambda f: pd.concat([f, f.tail(3)]),
    "labelled": lambda f: without(f, "readmitted", 0.05),
    "both_classes": lambda f: f.assign(readmitted="NO"),
}


@pytest.mark.parametrize("gate", BREAKS)
def test_a_gate_refuses_what_breaks_it(honest, gate):
    assert gate in {name for name, _ in failures(examined(BREAKS[gate](honest), profile(honest)))}


@pytest.mark.parametrize("modified_at", [NOW - timedelta(days=500), None], ids=["old", "of no known age"])
def test_data_that_nobody_renewed_is_refused(honest, modified_at):
    assert failures(examined(honest, None, modified_at)) == {("fresh", None)}


def test_every_gate_is_tried():
    assert {*BREAKS, "fresh"} == set(LIMITS.limits)


@pytest.mark.parametrize("frame", ["no rows", "no columns", "nothing"])
def test_an_empty_frame_fails_and_breaks_nothing(honest, frame):
    empty = {"no rows": honest.head(0), "no columns": honest[[]], "nothing": pd.DataFrame()}[frame]
    refused = {name for name, _ in failures(examined(empty, profile(honest)))}
    assert {"labelled", "both_classes"} <= refused
    assert ("enough_rows" in refused) is (frame != "no columns")
    assert ("not_empty" in refused) is (frame != "no rows")


def test_all_failures_are_told_at_once_with_value_limit_and_evidence(honest):
    broken = pd.concat([without(honest, "race", 0.3), honest.tail(3)]).assign(readmitted="NO")
    message = failure_message(examined(broken, profile(honest)), "data")
    for part in (
        "The data fails",
        "- both_classes: value of rarer_class_share must be >= 0.02, found 0.0000",
        "- no_duplicates: value of duplicate_rows must be <= 0, found 3.0000 (3 of 11003 rows repeat a value",
        "- no_new_gaps: value of missing_share_rise of 'race' must be <= 0.1, found",
        "version 1 in production",
    ):
        assert part in message, message


def test_a_profile_holds_no_value_of_the_data(honest):
    text = profile(honest).model_dump_json()
    assert str(honest["patient_nbr"].iloc[0]) not in text
    assert "Caucasian" not in text
