"""A challenger in the champion's shadow, run for real on ZenML's local orchestrator."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from labs.lineage_bench import settings_at
from labs.pipeline_workspace import Workspace, land, settings
from scipy.stats import ks_2samp, spearmanr
from zenml.client import Client

from zenml_mlops.configuration import ConfigError
from zenml_mlops.data.partitions import PartitionError, PartitionStore, read_predictions
from zenml_mlops.inference.batch import prediction_schema
from zenml_mlops.inference.config import BatchInferenceConfig, ShadowRules, ShardRules
from zenml_mlops.inference.scoring import score
from zenml_mlops.inference.shadow import ShadowError, measure_agreement
from zenml_mlops.lineage.impact import impact_of_file, impact_of_run, impact_of_version
from zenml_mlops.promotion import archive, latest_candidate, promote
from zenml_pipelines.config import TrainingConfig

DAY = date(2026, 1, 5)
MODEL = "generated_model"
SCORES = ["encounter_id", "risk", "decision"]


@pytest.fixture(scope="module")
def challenger(in_production: Workspace):
    """A version with another estimator in staging."""
    config = in_production.training.model_dump() | {"estimator": "logistic_regression"}
    in_production.train(TrainingConfig.model_validate(config))
    version = latest_candidate(MODEL)
    promote(MODEL, version, "staging")
    yield version
    if Client().get_model_version(MODEL, version).stage == "staging":
        archive(MODEL, version, reason="the tests of the shadow are over")


@pytest.fixture
def shadowed(workspace: Workspace) -> BatchInferenceConfig:
    """With a threshold at which the quick models of the tests decide both ways."""
    return workspace.batch.model_copy(update={"shadow": ShadowRules(enabled=True), "decision_threshold": 0.11})


def shadow_of(run) -> dict:
    return Client().get_pipeline_run(run.id).run_metadata["shadow"]


def shadow_root(workspace: Workspace) -> str:
    return str(workspace.root / workspace.batch.shadow_scores)


def names(folder: str) -> set[str]:
    return {str(path.relative_to(folder)) for path in Path(folder).rglob("*")}


def loaded(version: int):
    return Client().get_model_version(MODEL, version).get_artifact("risk_model").load()


def test_the_challenger_scores_the_same_rows_into_a_place_of_its_own(
    workspace: Workspace, shadowed, challenger: int, day_frame: pd.DataFrame
):
    frame = pd.concat([day_frame, day_frame.iloc[[0]]], ignore_index=True)
    frame.loc[40, "gender"] = "Robot"
    land(workspace.landing, DAY, frame)
    workspace.infer(DAY, shadowed.model_copy(update={"shadow": ShadowRules(enabled=False)}))
    alone, before = read_predictions(workspace.predictions, DAY, SCORES), names(workspace.predictions)
    assert not Path(shadow_root(workspace)).exists()
    run = workspace.infer(DAY, shadowed)
    mine = read_predictions(workspace.predictions, DAY)
    assert mine[SCORES].equals(alone)
    assert {Path(name).name for name in names(workspace.predictions) - before} <= {
        str(run.id), f"model_version={mine['model_version'].iloc[0]}", "part-000.parquet",
        "_manifest.json", "_PUBLISHED",
    }  # fmt: skip
    theirs = read_predictions(shadow_root(workspace), DAY)
    assert theirs["encounter_id"].equals(mine["encounter_id"])
    assert theirs["model_version"].unique().tolist() == [challenger]
    good = frame.loc[frame["encounter_id"].isin(mine["encounter_id"])].drop_duplicates("encounter_id")
    assert theirs["risk"].to_numpy() == pytest.approx(score(loaded(challenger), good))
    found = shadow_of(run)
    assert found["manifest"] == f"shadow/date={DAY}/_manifest.json"
    assert (Path(shadow_root(workspace)) / f"date={DAY}" / f"model_version={challenger}").is_dir()
    version = Client().get_model_version(MODEL, challenger)
    links = Client().list_model_version_pipeline_run_links(model_version_id=version.id, pipeline_run_id=run.id)
    assert links.total == 1


def test_the_numbers_are_those_of_other_libraries(
    workspace: Workspace, shadowed, challenger: int, day_frame: pd.DataFrame
):
    land(workspace.landing, DAY, day_frame)
    run = workspace.infer(DAY, shadowed)
    mine, theirs = read_predictions(workspace.predictions, DAY), read_predictions(shadow_root(workspace), DAY)
    x, y = mine["risk"].to_numpy(), theirs["risk"].to_numpy()
    record = shadow_of(run)
    found = record["agreement"]
    assert (record["status"], record["challenger"], found["rows"]) == ("scored", challenger, 100)
    assert found["same_decision"] == pytest.approx((mine["decision"] == theirs["decision"]).mean())
    assert found["only_champion"] + found["only_challenger"] > 0
    assert found["both"] + found["only_champion"] == (mine["decision"] == "high_risk").sum()
    assert found["both"] + found["only_challenger"] == (theirs["decision"] == "high_risk").sum()
    assert found["correlation"] == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-5)
    grid = np.floor(x * 1000), np.floor(y * 1000)
    assert found["rank_correlation"] == pytest.approx(spearmanr(*grid).statistic, abs=1e-5)
    assert found["mean_difference"] == pytest.approx((y - x).mean(), abs=1e-6)
    assert found["mean_absolute_difference"] == pytest.approx(np.abs(y - x).mean(), abs=1e-6)
    assert found["largest_difference"] == pytest.approx(np.abs(y - x).max(), abs=1e-6)
    p95 = np.quantile(np.abs(y - x), 0.95, method="inverted_cdf")
    assert p95 <= found["p95_absolute_difference"] <= p95 + 0.001
    assert found["ks"] == pytest.approx(ks_2samp(*grid).statistic, abs=1e-6)
    page = Client().get_pipeline_run(run.id).steps["score_shadow"].outputs["shadow_report"][0].load()
    assert f"version {challenger} in the shadow of version {mine['model_version'].iloc[0]}" in page
    assert page.count("<svg ") == 1
    assert [tag.name for tag in Client().get_pipeline_run(run.id).tags if tag.name.startswith("shadow")] == [
        "shadow:scored"
    ]


def test_another_run_of_the_day_gives_the_same_numbers_however_it_is_cut(
    workspace: Workspace, shadowed, challenger: int, lander
):
    lander(DAY)
    first = shadow_of(workspace.infer(DAY, shadowed))
    cut = shadowed.model_copy(update={"shards": ShardRules(rows=30, most=4), "batch_rows": 7})
    second = shadow_of(workspace.infer(DAY, cut))
    assert second == first
    assert len(PartitionStore(workspace.predictions).manifest(DAY)["files"]) == 4
    history = PartitionStore(shadow_root(workspace)).history(DAY)
    assert len(history) == 2
    assert history[0]["agreement"] == history[1]["agreement"]
    assert history[1]["champion_files"] == PartitionStore(workspace.predictions).manifest(DAY)["files"]


def test_without_a_challenger_the_record_says_none(workspace: Workspace, shadowed, lander):
    lander(DAY)
    production = int(Client().get_model_version(MODEL, "production").number)
    config = shadowed.model_copy(update={"shadow": ShadowRules(enabled=True, version=production)})
    run = workspace.infer(DAY, config)
    assert shadow_of(run) == {
        "status": "none",
        "reason": f"version {production} is the one that scores the day",
        "champion": production,
    }
    assert not Path(shadow_root(workspace)).exists()


def test_an_empty_staging_is_no_failure(workspace: Workspace, shadowed, challenger: int, lander):
    archive(MODEL, challenger, reason="a test of an empty staging")
    try:
        lander(DAY)
        found = shadow_of(workspace.infer(DAY, shadowed))
        assert (found["status"], found["reason"]) == ("none", f"no version of {MODEL!r} is in staging")
    finally:
        promote(MODEL, challenger, "staging")


def test_a_day_without_a_row_has_no_agreement(workspace: Workspace, shadowed, challenger, day_frame):
    land(workspace.landing, DAY, day_frame.head(0))
    found = shadow_of(workspace.infer(DAY, shadowed))
    assert (found["status"], found["agreement"]["rows"]) == ("scored", 0)
    assert "same_decision" not in found["agreement"]


def failing(run, workspace: Workspace) -> str:
    """Check that a day is scored although its shadow failed, and return the recorded reason."""
    assert run.status == "completed"
    assert len(read_predictions(workspace.predictions, DAY)) == 100
    found = Client().get_pipeline_run(run.id)
    assert found.run_metadata["batch_summary"]["scored"] == 100
    assert "shadow:failed" in {tag.name for tag in found.tags}
    assert found.run_metadata["shadow"]["status"] == "failed"
    page = found.steps["score_shadow"].outputs["shadow_report"][0].load()
    assert "<p>failed: " in page
    return found.run_metadata["shadow"]["reason"]


def test_a_version_that_does_not_exist_fails_the_shadow_alone(workspace: Workspace, shadowed, lander):
    lander(DAY)
    config = shadowed.model_copy(update={"shadow": ShadowRules(enabled=True, version=9999)})
    assert "has no version 9999" in failing(workspace.infer(DAY, config), workspace)


def test_a_challenger_whose_model_is_damaged_fails_the_shadow_alone(
    workspace: Workspace, shadowed, challenger: int, lander, tmp_path: Path
):
    lander(DAY)
    workspace.infer(DAY, shadowed)
    before = PartitionStore(shadow_root(workspace)).manifest(DAY)
    stored = Path(Client().get_model_version(MODEL, challenger).get_artifact("risk_model").uri)
    shutil.copytree(stored, tmp_path / "kept")
    try:
        for file in stored.rglob("*"):
            if file.is_file():
                file.write_bytes(b"damaged")
        assert failing(workspace.infer(DAY, shadowed), workspace)
    finally:
        shutil.copytree(tmp_path / "kept", stored, dirs_exist_ok=True)
    assert PartitionStore(shadow_root(workspace)).manifest(DAY) == before


def test_a_foreign_folder_in_the_way_fails_the_shadow_alone(workspace: Workspace, shadowed, challenger, lander):
    lander(DAY)
    (Path(shadow_root(workspace)) / f"date={DAY}").mkdir(parents=True)
    assert "not published by this project" in failing(workspace.infer(DAY, shadowed), workspace)


@pytest.mark.parametrize(
    ("storage", "shadow", "message"),
    [
        ({"shadow": "predictions/shadow"}, {}, "readers of one would find the other"),
        ({"shadow": "./quarantine/"}, {}, "storage.quarantine"),
        ({"shadow": "landing"}, {}, "storage.landing"),
        ({"shadow": "s3://bucket/p/x", "predictions": "s3://bucket/p"}, {}, "storage.predictions"),
        ({}, {"version": 3}, "has no effect while enabled is false"),
        ({}, {"enabled": True, "version": 0}, "greater than or equal to 1"),
        ({}, {"stage": "staging"}, "Extra inputs"),
    ],
)
def test_settings_that_would_mislead_are_refused(storage, shadow, message):
    found = settings()
    found["storage"] |= storage
    found["pipelines"]["batch_inference"]["shadow"] |= shadow
    with pytest.raises(ConfigError, match=message):
        BatchInferenceConfig.from_settings(found)


def agreement(champion, challenger, rows):
    return measure_agreement(champion, challenger, row_id="encounter_id", batch_rows=rows)


def stored(root: Path, *parts: pd.DataFrame):
    """Files of scores, and where they lie."""
    store = PartitionStore(str(root))
    files = []
    for number, part in enumerate(parts):
        with store.open_new(f"{number}.parquet") as file:
            pq.write_table(
                pa.Table.from_pandas(part, prediction_schema("encounter_id"), preserve_index=False), file
            )
        files.append(store.stored(f"{number}.parquet", len(part)))
    return store, files


def scores(risk: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "encounter_id": np.arange(len(risk)),
            "risk": risk,
            "decision": np.where(risk >= 0.2, "high_risk", "low_risk"),
            "model_version": 1,
            "zenml_run_id": "run",
            "scored_at": pd.Timestamp("2026-01-05", tz="UTC"),
        }
    )


def test_drift_is_none_for_the_same_risks_and_large_for_others(tmp_path: Path):
    risk = np.random.default_rng(3).beta(2, 10, 5000)
    champion = stored(tmp_path / "champion", scores(risk))
    same = agreement(champion, stored(tmp_path / "same", scores(risk)), 512)
    assert (same.same_decision, same.psi, same.ks, same.largest_difference) == (1, 0, 0, 0)
    assert (same.correlation, same.rank_correlation) == (1, 1)
    moved = agreement(champion, stored(tmp_path / "moved", scores(np.sqrt(risk))), 512)
    assert moved.rank_correlation > 0.999
    assert moved.psi > 1
    assert moved.mean_difference > 0.2
    flat = agreement(champion, stored(tmp_path / "flat", scores(np.full(5000, 0.1))), 512)
    assert (flat.correlation, flat.rank_correlation) == (None, None)


def test_psi_is_the_sum_over_the_champions_tenths(tmp_path: Path):
    rng = np.random.default_rng(4)
    one, other = rng.uniform(0, 1, 20_000), rng.beta(2, 2, 20_000)
    found = agreement(stored(tmp_path / "one", scores(one)), stored(tmp_path / "other", scores(other)), 1000)
    edges = np.quantile(one, np.arange(1, 10) / 10)
    p, q = (np.bincount(np.digitize(risk, edges), minlength=10) / len(risk) for risk in (one, other))
    assert found.psi == pytest.approx(((q - p) * np.log(q / p)).sum(), rel=0.02)


@pytest.mark.parametrize("rows", [1, 99, 100, 4096])
def test_how_the_files_are_cut_changes_nothing(tmp_path: Path, rows: int):
    rng = np.random.default_rng(5)
    one, other = scores(rng.uniform(0, 1, 300)), scores(rng.uniform(0, 1, 300))
    whole = agreement(stored(tmp_path / "a", one), stored(tmp_path / "b", other), 64)
    parts = stored(tmp_path / "c", one[:1], one[1:1], one[1:250], one[250:])
    assert agreement(parts, stored(tmp_path / "d", other[:120], other[120:]), rows) == whole


def test_scores_of_other_rows_are_not_compared(tmp_path: Path):
    frame = scores(np.linspace(0, 1, 50))
    champion = stored(tmp_path / "champion", frame)
    for name, other in (("fewer", frame[:40]), ("turned", frame[::-1])):
        with pytest.raises(ShadowError, match="not of the rows"):
            agreement(champion, stored(tmp_path / name, other), 10)
    (tmp_path / "champion" / "0.parquet").write_bytes(b"damaged")
    with pytest.raises(PartitionError, match="sha256"):
        agreement(champion, champion, 10)


def test_what_is_withdrawn_leads_to_the_shadow_too(
    workspace: Workspace, shadowed, challenger: int, day_frame: pd.DataFrame
):
    land(workspace.landing, DAY, day_frame)
    run = workspace.infer(DAY, shadowed)
    place = settings_at(workspace.root)
    rows = len(read_predictions(workspace.predictions, DAY))
    by_file = impact_of_file(place, f"date={DAY}/part-000.parquet", replaced=False, ids=False)
    by_challenger = impact_of_version(place, f"{MODEL}/{challenger}", replaced=False, ids=False)
    by_run = impact_of_run(place, str(run.id), replaced=False, ids=False)
    for found, published in ((by_file, rows), (by_challenger, 0), (by_run, rows)):
        assert found.affected == published
        (shadow,) = found.shadow
        assert (shadow.model_version, shadow.affected, shadow.current) == (challenger, rows, True)
        assert shadow.zenml_run == str(run.id)
    champion = int(read_predictions(workspace.predictions, DAY)["model_version"].iloc[0])
    # The challenger scored the champion's rows, but not with the champion.
    assert not impact_of_version(place, f"{MODEL}/{champion}", replaced=False, ids=False).shadow
