"""The monitoring pipeline, run for real on days that batch inference has scored."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from labs.pipeline_workspace import Workspace, land, settings
from zenml.client import Client

from zenml_airflow.context import cli_context, run_context
from zenml_mlops.configuration import ConfigError
from zenml_mlops.data.outcomes import OutcomesError
from zenml_mlops.data.partitions import PartitionError, PartitionStore
from zenml_mlops.data.profile import PROFILE_ARTIFACT, profile_rows
from zenml_mlops.inference.scoring import score
from zenml_mlops.monitoring.config import MonitoringConfig
from zenml_mlops.monitoring.findings import Findings, page_path, read_findings
from zenml_mlops.training.splitting import split_in_time
from zenml_pipelines.use_case.contract import CONTRACT
from zenml_pipelines.use_case.features import GROUPING
from zenml_pipelines.use_case.schema import ENCOUNTER_ID, LABEL

FIRST = date(2026, 1, 5)
COUNT = 10
DELAY = 4
ROWS = 90


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def monitoring_config() -> MonitoringConfig:
    """The shipped rules, with outcomes after four days and few of them enough."""
    config = MonitoringConfig.from_settings(settings())
    rules = config.rules.model_dump()
    rules["performance"] |= {"label_delay_days": DELAY, "minimum_positives": 20}
    return MonitoringConfig.model_validate(
        config.model_dump()
        | {"model_name": "generated_model", "bootstrap": {"resamples": 40, "confidence": 0.9}}
        | {"rules": rules}
    )


def monitor(workspace: Workspace, *days: date, config: MonitoringConfig | None = None, **params) -> object:
    from zenml.enums import ExecutionMode

    from zenml_pipelines.pipelines.monitoring import monitoring

    context = cli_context(days[-1], environment="local", storage_root=str(workspace.root), params=params)
    if len(days) > 1:
        context = context.model_copy(update={"updated_dates": days})
    with run_context(context):
        return monitoring.with_options(execution_mode=ExecutionMode.FAIL_FAST)(
            config=config or monitoring_config()
        )


def store_of(workspace: Workspace) -> PartitionStore:
    return PartitionStore(str(workspace.root / "monitoring"))


def found(workspace: Workspace, at: date) -> Findings:
    return read_findings(store_of(workspace), at)


@pytest.fixture(scope="module")
def labelled(generated: pd.DataFrame) -> list[pd.DataFrame]:
    """Ten days of labelled encounters, of the evaluated rows; from the seventh day on a column is shifted."""
    rows = split_in_time(generated, CONTRACT, 0.5)[1].sample(n=COUNT * ROWS, random_state=3)
    days = [rows.iloc[start : start + ROWS].reset_index(drop=True) for start in range(0, len(rows), ROWS)]
    for number in range(6, COUNT):
        days[number] = days[number].assign(num_lab_procedures=days[number]["num_lab_procedures"] + 40)
    return days


@pytest.fixture(scope="module")
def scored(in_production: Workspace, tmp_path_factory, labelled: list[pd.DataFrame]) -> Workspace:
    """Ten scored days, and the outcomes of all of them, far earlier than they could be known."""
    workspace = in_production.moved(tmp_path_factory.mktemp("scored"))
    for number, rows in enumerate(labelled):
        land(workspace.landing, day(number), rows.drop(columns=LABEL))
        workspace.infer(day(number))
        land(workspace.root / "landing" / "outcomes", day(number), rows[[ENCOUNTER_ID, LABEL]])
    return workspace


@pytest.fixture(scope="module")
def daily(scored: Workspace) -> Workspace:
    """Looked at day by day, in order."""
    for number in range(COUNT):
        monitor(scored, day(number))
    return scored


@pytest.mark.timeout(900)
def test_drift_is_found_on_its_first_day_and_becomes_one_alert_a_day_later(daily: Workspace):
    key = "drift:num_lab_procedures"
    flagged = [
        number for number in range(COUNT) if key in {check.key for check in found(daily, day(number)).flagged}
    ]
    assert flagged == [6, 7, 8, 9]
    news = {number: [alert.key for alert in found(daily, day(number)).new_alerts] for number in range(COUNT)}
    assert [number for number, keys in news.items() if key in keys] == [7]
    assert key in {alert.key for alert in found(daily, day(9)).alerts}
    assert next(alert.opened for alert in found(daily, day(9)).alerts if alert.key == key) == day(7)


@pytest.mark.timeout(900)
def test_the_run_says_who_is_to_be_told_and_what_is_to_be_trained(daily: Workspace):
    runs = Client().list_pipeline_runs(pipeline="monitoring", sort_by="asc:created", size=COUNT).items
    told = [dict(Client().get_pipeline_run(run.id).run_metadata) for run in runs]
    assert [any("num_lab_procedures" in text for text in each["notifications"]) for each in told].index(True) == 7
    assert "retraining" in told[7]["asset_events"]
    assert told[8]["notifications"] == []
    assert told[8]["asset_events"] == {}


@pytest.mark.timeout(900)
def test_a_backfill_in_any_order_gives_the_numbers_of_daily_runs(daily: Workspace, tmp_path: Path):
    expected = {number: found(daily, day(number)) for number in range(COUNT)}
    again = monitoring_config().model_copy(update={"findings": str(tmp_path / "again")})
    # All at once, the newest first, and two together: as Airflow starts a run for what was published meanwhile.
    for days in ([day(9)], [day(3), day(4)], *([day(n)] for n in (8, 0, 7, 1, 6, 2, 5))):
        monitor(daily, *days, config=again)
    store = PartitionStore(str(tmp_path / "again"))
    assert {number: read_findings(store, day(number)) for number in range(COUNT)} == expected


@pytest.mark.timeout(900)
def test_monitoring_again_changes_nothing_and_notifies_nobody_twice(daily: Workspace):
    before = found(daily, day(7))
    run = monitor(daily, day(7))
    assert found(daily, day(7)) == before
    recorded = Client().get_pipeline_run(run.id).run_metadata
    assert recorded["notifications"] == []
    assert recorded["asset_events"] == {}


@pytest.mark.timeout(900)
def test_only_outcomes_that_could_be_known_are_counted(daily: Workspace, labelled: list[pd.DataFrame]):
    for number in range(DELAY):
        assert found(daily, day(number)).own.realised == ()
    (realised,) = found(daily, day(9)).own.realised
    known = pd.concat(labelled[: 9 - DELAY + 1])
    known = known.loc[CONTRACT.in_scope(known)]
    assert (realised.first, realised.last) == (day(0), day(9 - DELAY))
    assert realised.rows == len(known)
    assert realised.positives == int((known[LABEL] == "<30").sum())
    interval = realised.metrics["roc_auc"]
    assert interval.lower <= interval.value <= interval.upper
    assert [part.first for part in found(daily, day(9)).realised_by_day] == [day(n) for n in range(9 - DELAY + 1)]


@pytest.mark.timeout(900)
def test_the_pages_are_artifacts_and_files_and_hold_no_patient(daily: Workspace, labelled: list[pd.DataFrame]):
    run = Client().list_pipeline_runs(pipeline="monitoring", sort_by="desc:created", size=1).items[0]
    outputs = Client().get_pipeline_run(run.id).steps["publish_findings"].outputs
    assert set(outputs) == {"monitoring_day", "monitoring_trend"}
    page = Path(page_path(store_of(daily), day(9), "day.html")).read_text()
    trend = (daily.root / "monitoring" / f"date={day(9)}" / "trend.html").read_text()
    assert "drift:num_lab_procedures" in page
    assert trend.count("<svg") == 4
    for text in (page, trend):
        assert not re.search(r"""<(script|link|img)|(src|href)=["']http""", text)
        for identity in labelled[9][ENCOUNTER_ID]:
            assert str(identity) not in text


@pytest.mark.timeout(900)
def test_a_day_that_was_scored_again_is_looked_at_anew(
    in_production: Workspace, tmp_path: Path, labelled: list[pd.DataFrame]
):
    workspace = in_production.moved(tmp_path)
    rows = labelled[0].drop(columns=LABEL)
    land(workspace.landing, FIRST, rows)
    workspace.infer(FIRST)
    monitor(workspace, FIRST)
    clean = found(workspace, FIRST)
    land(workspace.landing, FIRST, rows.assign(race="Martian"))
    workspace.infer(FIRST)
    monitor(workspace, FIRST)
    keys = {check.key for check in found(workspace, FIRST).flagged}
    assert {"drift:race", "quality:unseen race"} <= keys
    assert "drift:race" not in {check.key for check in clean.flagged}
    assert len(store_of(workspace).history(FIRST)) == 2
    # What was scored stands, but its rows are others now: that is said, and nothing is guessed.
    land(workspace.landing, FIRST, rows)
    monitor(workspace, FIRST, config=monitoring_config().model_copy(update={"findings": "elsewhere"}))
    other = read_findings(PartitionStore(str(tmp_path / "elsewhere")), FIRST)
    assert "sha256" in other.own.problem
    assert not [check for check in other.own.checks if check.kind.value == "drift"]


@pytest.mark.timeout(900)
def test_what_cannot_be_looked_at_is_a_sentence(in_production: Workspace, tmp_path: Path, labelled):
    workspace = in_production.moved(tmp_path)
    with pytest.raises(PartitionError, match="has no predictions"):
        monitor(workspace, FIRST)
    with pytest.raises(ConfigError, match="no effect"):
        monitor(workspace, FIRST, window=3)
    for number in (0, DELAY):
        land(workspace.landing, day(number), labelled[number].drop(columns=LABEL))
        workspace.infer(day(number))
    place = land(workspace.root / "landing" / "outcomes", FIRST, labelled[0][[ENCOUNTER_ID, LABEL]])
    (place / "part-000.parquet").write_bytes(b"broken")
    with pytest.raises(OutcomesError, match="not the file that its marker describes"):
        monitor(workspace, day(DELAY))
    with pytest.raises(PartitionError, match="was not evaluated"):
        found(workspace, FIRST)


def test_the_version_carries_the_profile_of_what_it_was_evaluated_on(in_production: Workspace, generated):
    version = Client().get_model_version("generated_model", "1")
    profile = version.get_artifact(PROFILE_ARTIFACT).load()
    model = version.get_artifact("risk_model").load()
    run = Client().get_pipeline_run(version.get_artifact("risk_model").producer_pipeline_run_id)
    test = run.steps["split_data"].outputs["test"][0].load()
    assert profile == profile_rows([test], CONTRACT, GROUPING, [score(model, test)])
    assert sum(profile.risks) == profile.rows == len(test)
    assert np.isfinite(json.loads(profile.model_dump_json())["rows"])
