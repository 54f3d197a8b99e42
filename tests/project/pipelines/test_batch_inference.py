"""Batch inference, run for real on ZenML's local orchestrator."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from labs.pipeline_workspace import Workspace, land
from zenml.client import Client

from zenml_mlops.configuration import ConfigError
from zenml_mlops.data.landing import IncompletePartitionError, find_partition
from zenml_mlops.data.partitions import PartitionStore, read_predictions, read_quarantine
from zenml_mlops.data.rows import SchemaBrokenError
from zenml_mlops.inference.batch import RowsLostError, _add_up
from zenml_mlops.inference.champion import NoChampionError
from zenml_mlops.promotion import latest_candidate, promote
from zenml_pipelines.use_case.contract import CONTRACT

DAY, NEXT = date(2026, 1, 5), date(2026, 1, 6)


def summary(run) -> dict:
    return Client().get_pipeline_run(run.id).run_metadata["batch_summary"]


def tree(root: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path(root).rglob("*")) if path.is_file()}


def test_every_row_is_scored_or_quarantined_with_a_reason(workspace: Workspace, day_frame: pd.DataFrame):
    frame = pd.concat([day_frame, day_frame.iloc[[0, 1]]], ignore_index=True)
    frame.loc[10, "gender"] = "Robot"
    frame.loc[50, "discharge_disposition_id"] = 11
    frame.loc[60, "medical_specialty"] = "Astrology"
    land(workspace.landing, DAY, frame)
    run = workspace.infer(DAY)
    scored, refused = read_predictions(workspace.predictions, DAY), read_quarantine(workspace.quarantine, DAY)
    assert len(scored) == 98
    assert set(scored["encounter_id"]) == set(day_frame["encounter_id"]) - set(frame.loc[[10, 50], "encounter_id"])
    assert scored["encounter_id"].is_unique
    assert refused[["row_number", "reasons"]].to_numpy().tolist() == [
        [10, "unknown_value"],
        [50, "out_of_scope"],
        [100, "duplicate_row"],
        [101, "duplicate_row"],
    ]
    found = summary(run)
    assert (found["rows_in"], found["scored"], found["quarantined"]) == (102, 98, 4)
    assert found["high_risk"] == (scored["risk"] >= workspace.batch.decision_threshold).sum()


def test_rows_and_manifest_say_where_they_come_from(workspace: Workspace, lander: Callable[[date], Path]):
    lander(DAY)
    run = workspace.infer(DAY)
    scored = read_predictions(workspace.predictions, DAY)
    assert list(scored.columns) == [
        "encounter_id",
        "risk",
        "decision",
        "model_version",
        "zenml_run_id",
        "scored_at",
    ]
    assert scored["zenml_run_id"].unique().tolist() == [str(run.id)]
    assert scored["decision"].eq("high_risk").equals(scored["risk"] >= workspace.batch.decision_threshold)
    manifest = PartitionStore(workspace.predictions).manifest(DAY)
    assert manifest["zenml_run_id"] == str(run.id)
    assert manifest["dag_id"] == "cli"
    assert manifest["logical_date"].startswith("2026-01-05")
    assert manifest["model_version"] == scored["model_version"].iloc[0]
    assert manifest["files"][0]["path"].endswith(f"model_version={manifest['model_version']}/part-000.parquet")
    assert str(workspace.root) not in json.dumps(manifest)
    version = Client().get_model_version(workspace.batch.model_name, manifest["model_version"])
    links = Client().list_model_version_pipeline_run_links(model_version_id=version.id, pipeline_run_id=run.id)
    assert links.total == 1


def test_scores_are_those_of_the_model(workspace: Workspace, day_frame: pd.DataFrame):
    from zenml_mlops.inference.scoring import score

    land(workspace.landing, DAY, day_frame)
    workspace.infer(DAY)
    model = Client().get_model_version(workspace.batch.model_name, "production").get_artifact("risk_model").load()
    scored = read_predictions(workspace.predictions, DAY)
    assert scored["risk"].to_numpy() == pytest.approx(score(model, day_frame))


def test_rerun_replaces_the_day_and_nothing_else(workspace: Workspace, lander, day_frame: pd.DataFrame):
    lander(DAY)
    lander(NEXT)
    workspace.infer(DAY)
    workspace.infer(NEXT)
    before = {p: c for p, c in tree(workspace.predictions).items() if "2026-01-06" in p}
    land(workspace.landing, DAY, day_frame.head(40))
    second = workspace.infer(DAY)
    assert len(read_predictions(workspace.predictions, DAY)) == 40
    assert PartitionStore(workspace.predictions).manifest(DAY)["zenml_run_id"] == str(second.id)
    assert len(PartitionStore(workspace.predictions).history(DAY)) == 2
    assert {p: c for p, c in tree(workspace.predictions).items() if "2026-01-06" in p} == before


def test_another_model_version_replaces_the_day(
    workspace: Workspace, in_production: Workspace, lander: Callable[[date], Path]
):
    lander(DAY)
    workspace.infer(DAY)
    first = PartitionStore(workspace.predictions).manifest(DAY)["model_version"]
    in_production.train()
    newer = latest_candidate(workspace.batch.model_name)
    assert newer is not None
    assert newer > first
    result = promote(workspace.batch.model_name, newer)
    assert (result.changed, result.archived_version) == (True, first)
    workspace.infer(DAY)
    assert read_predictions(workspace.predictions, DAY)["model_version"].unique().tolist() == [newer]
    visible = list(Path(workspace.predictions).glob("date=2026-01-05/model_version=*"))
    assert [folder.name for folder in visible] == [f"model_version={newer}"]


def test_missing_marker_fails_with_a_sentence(workspace: Workspace, lander: Callable[[date], Path]):
    (lander(DAY) / "_SUCCESS").unlink()
    with pytest.raises(IncompletePartitionError, match="no completion marker"):
        workspace.infer(DAY)
    assert not Path(workspace.predictions).exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": 7}, "holds 100 rows, its marker says 7"),
        ({"files": {"part-000.parquet": "0" * 64}}, "the marker says 0000"),
        ({"files": {"part-001.parquet": "0" * 64}}, "its marker names"),
        ({"rows": "many"}, "must be JSON"),
    ],
)
def test_marker_that_does_not_match_fails(workspace: Workspace, lander, change, message):
    marker = lander(DAY) / "_SUCCESS"
    marker.write_text(json.dumps(json.loads(marker.read_text()) | change))
    with pytest.raises(IncompletePartitionError, match=message):
        find_partition(DAY, "landing", str(workspace.landing), CONTRACT)


@pytest.mark.parametrize("damage", ["column", "type", "bytes"])
def test_broken_file_fails_and_the_old_partition_stays(workspace: Workspace, lander, day_frame, damage):
    lander(DAY)
    workspace.infer(DAY)
    before = tree(workspace.predictions) | tree(workspace.quarantine)
    broken = day_frame.drop(columns="age") if damage == "column" else day_frame.copy()
    if damage == "type":
        broken["number_inpatient"] = broken["number_inpatient"].astype(float)
    place = land(workspace.landing, DAY, broken)
    if damage == "bytes":
        import hashlib

        (place / "part-000.parquet").write_bytes(b"not parquet")
        digest = hashlib.sha256(b"not parquet").hexdigest()
        (place / "_SUCCESS").write_text(json.dumps({"rows": 100, "files": {"part-000.parquet": digest}}))
    with pytest.raises(SchemaBrokenError, match=r"part-000\.parquet"):
        workspace.infer(DAY)
    assert tree(workspace.predictions) | tree(workspace.quarantine) == before


def test_crash_in_the_middle_leaves_the_old_partition_and_the_next_run_cleans_up(
    workspace: Workspace, lander, day_frame: pd.DataFrame
):
    """A run that dies while publishing, because something foreign stands in the way."""
    lander(DAY)
    workspace.infer(DAY)
    link = Path(workspace.predictions) / "date=2026-01-05"
    old = link.readlink()
    link.unlink()
    link.mkdir()
    land(workspace.landing, DAY, day_frame.head(30))
    refused = tree(workspace.quarantine)
    with pytest.raises(Exception, match="not published by this project"):
        workspace.infer(DAY)
    assert {p: c for p, c in tree(workspace.quarantine).items() if p in refused} == refused
    link.rmdir()
    link.symlink_to(old)
    assert len(read_predictions(workspace.predictions, DAY)) == 100
    runs = Path(workspace.predictions) / "_runs" / "date=2026-01-05"
    assert len(list(runs.iterdir())) == 2
    workspace.infer(DAY)
    assert len(read_predictions(workspace.predictions, DAY)) == 30
    assert all((run / "_PUBLISHED").exists() for run in runs.iterdir())
    assert len(list(runs.iterdir())) == 2


def test_partition_without_a_good_row_is_published_empty(workspace: Workspace, day_frame: pd.DataFrame):
    land(workspace.landing, DAY, day_frame.head(3).assign(gender="Robot"))
    found = summary(workspace.infer(DAY))
    assert (found["scored"], found["quarantined"]) == (0, 3)
    assert read_predictions(workspace.predictions, DAY).empty


def test_empty_partition_is_published_empty(workspace: Workspace, day_frame: pd.DataFrame):
    land(workspace.landing, DAY, day_frame.head(0))
    assert summary(workspace.infer(DAY))["rows_in"] == 0


def test_no_production_version_says_what_to_do(workspace: Workspace, lander):
    lander(DAY)
    config = workspace.batch.model_copy(update={"model_name": "no_such_model"})
    with pytest.raises(NoChampionError, match="promote a version"):
        workspace.infer(DAY, config)


def test_parameter_without_effect_is_an_error(workspace: Workspace, lander):
    lander(DAY)
    with pytest.raises(ConfigError, match="threshold"):
        workspace.infer(DAY, threshold=0.9)


def test_lost_row_is_an_error():
    with pytest.raises(RowsLostError, match="100 rows came in"):
        _add_up(100, 90, 9, DAY)


def test_object_store_layout(in_production: Workspace, day_frame: pd.DataFrame, tmp_path: Path):
    space = in_production.moved(tmp_path)
    land(space.landing, DAY, day_frame)
    config = space.batch.model_copy(
        update={"predictions": "memory://batch/predictions", "quarantine": "memory://batch/quarantine"}
    )
    space.infer(DAY, config)
    space.infer(DAY, config)
    assert len(read_predictions("memory://batch/predictions", DAY)) == 100
    assert read_quarantine("memory://batch/quarantine", DAY).empty
    assert len(PartitionStore("memory://batch/predictions").history(DAY)) == 2
