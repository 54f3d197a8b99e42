"""A month of scored days: random predictions traced to their source rows and back, a withdrawn file to its own."""

from __future__ import annotations

import random
from datetime import date, timedelta

import pandas as pd
import pytest
from labs import REAL_DATA
from labs.lineage_bench import FIRST, nodes, settings_at
from labs.pipeline_workspace import Workspace, settings
from rich.console import Console

from zenml_mlops.data.config import DataConfig
from zenml_mlops.data.feed import feed
from zenml_mlops.data.fetch import fetch
from zenml_mlops.data.partitions import read_predictions
from zenml_mlops.lineage import State
from zenml_mlops.lineage.impact import impact_of_file, impact_of_version
from zenml_mlops.lineage.tracing import trace_case, trace_prediction
from zenml_pipelines.use_case import READMISSION
from zenml_pipelines.use_case.schema import CSV_NAME, read_rows

pytestmark = [pytest.mark.timeout(1800)]
DAYS = [date(2026, 1, 5) + timedelta(days=number) for number in range(30)]
SEED = 20260105


@pytest.fixture(scope="module")
def month(in_production: Workspace, tmp_path_factory: pytest.TempPathFactory):
    """Thirty days of the published encounters, or of generated ones where they are not here, each scored."""
    space = in_production.moved(tmp_path_factory.mktemp("month"))
    source = str(REAL_DATA) if REAL_DATA.is_file() else "synthetic"
    fetch(source, space.root / "raw", READMISSION, rows=60_000, console=Console(stderr=True))
    config = DataConfig.model_validate(settings()["data"])
    feed(
        DAYS[0],
        DAYS[-1],
        raw_dir=space.root / "raw",
        landing=str(space.landing),
        config=config,
        use_case=READMISSION,
    )
    for day in DAYS:
        space.infer(day)
    return space


@pytest.fixture(scope="module")
def scored(month: Workspace) -> pd.DataFrame:
    frames = [read_predictions(month.predictions, day).assign(day=day) for day in DAYS]
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module")
def source(month: Workspace) -> pd.DataFrame:
    return read_rows(month.root / "raw" / CSV_NAME).set_index("encounter_id")


def test_twenty_random_predictions_lead_to_their_source_row_and_back(
    month: Workspace, scored: pd.DataFrame, source: pd.DataFrame
):
    place = settings_at(month.root)
    for index in random.Random(SEED).sample(range(len(scored)), 20):
        row = scored.iloc[index]
        day, encounter = row["day"], int(row["encounter_id"])
        trees = trace_case(place, encounter, None, replaced=False).trees
        assert trees == trace_prediction(place, f"{day}/{encounter}").trees
        (tree,) = trees
        (found,) = nodes(tree, "source_row")
        assert found.state is State.RECORDED
        assert found.facts["file"].endswith(f"date={day}/{FIRST}")
        landed = pd.read_parquet(month.landing / f"date={day}" / FIRST).iloc[found.facts["row"]]
        assert landed["encounter_id"] == encounter
        assert landed["num_medications"] == source.loc[encounter, "num_medications"]
        (version,) = nodes(tree, "model_version")
        assert version.facts["version id"]
        (data,) = nodes(version, "training_data")
        assert data.facts["location"] == "raw/diabetic_data.csv"
        back = impact_of_file(place, found.facts["sha256"], replaced=False, ids=True)
        assert [one.date for one in back.days] == [day]
        assert encounter in back.days[0].row_ids


def test_a_withdrawn_file_leads_to_exactly_its_predictions(month: Workspace, scored: pd.DataFrame):
    day = random.Random(SEED).choice(DAYS)
    place = month.landing / f"date={day}" / FIRST
    landed = set(pd.read_parquet(place, columns=["encounter_id"])["encounter_id"])
    place.unlink()
    found = impact_of_file(settings_at(month.root), f"date={day}/{FIRST}", replaced=True, ids=True)
    (only,) = found.days
    assert only.exact
    assert set(only.row_ids) == set(scored.loc[scored["encounter_id"].isin(landed), "encounter_id"])
    assert found.affected == len(only.row_ids) == (scored["day"] == day).sum()


def test_a_bad_version_leads_to_the_whole_month(month: Workspace, scored: pd.DataFrame):
    number = scored["model_version"].unique().item()
    found = impact_of_version(settings_at(month.root), f"generated_model/{number}", replaced=False, ids=False)
    assert [one.date for one in found.days] == DAYS
    assert found.affected == len(scored)
