"""A day scored in shards is the day scored at once."""

from __future__ import annotations

import io
import json
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from labs.pipeline_workspace import Workspace, land
from zenml.client import Client

from zenml_airflow.context import cli_context, run_context
from zenml_mlops.data.partitions import PartitionStore, read_predictions
from zenml_mlops.inference.config import ShardRules

DAY = date(2026, 1, 5)
COLUMNS = ["encounter_id", "risk", "decision"]


@pytest.mark.parametrize(("rows", "count"), [(0, 1), (1, 1), (100, 1), (101, 2), (250, 3), (10_000, 4)])
def test_the_number_of_shards_follows_the_rows_up_to_the_most(rows, count):
    spans = ShardRules(rows=100, most=4).spans(rows)
    assert len(spans) == count
    assert [first for first, _ in spans] == [0, *(end for _, end in spans[:-1])]
    assert spans[-1][1] == rows
    sizes = [end - first for first, end in spans]
    assert max(sizes) - min(sizes) <= 1


def sharded(workspace: Workspace):
    return workspace.batch.model_copy(update={"shards": ShardRules(rows=30, most=4)})


def test_shards_of_a_day_are_the_day(workspace: Workspace, day_frame: pd.DataFrame):
    frame = pd.concat([day_frame, day_frame.iloc[[0]]], ignore_index=True)
    frame.loc[40, "gender"] = "Robot"
    land(workspace.landing, DAY, frame)
    workspace.infer(DAY)
    whole = read_predictions(workspace.predictions, DAY, COLUMNS)
    run = workspace.infer(DAY, sharded(workspace))
    assert read_predictions(workspace.predictions, DAY, COLUMNS).equals(whole)
    manifest = PartitionStore(workspace.predictions).manifest(DAY)
    assert [Path(file["path"]).name for file in manifest["files"]] == [f"part-{n:03d}.parquet" for n in range(4)]
    assert Client().get_pipeline_run(run.id).run_metadata["shards"] == {"score_partition": 4}


def test_what_shards_left_is_gathered_and_what_is_missing_or_of_other_rows_is_scored(
    workspace: Workspace, lander, monkeypatch
):
    from zenml_mlops.inference import steps as batch_inference
    from zenml_mlops.inference.shards import DayScoring

    lander(DAY)
    config = sharded(workspace)
    run = workspace.infer(DAY, config)
    whole = read_predictions(workspace.predictions, DAY, COLUMNS)
    steps = Client().get_pipeline_run(run.id).steps
    inputs = {
        "partition": steps["load_partition"].outputs["partition"][0].load(),
        "champion": steps["load_partition"].outputs["champion"][0].load(),
        "checked_partition": steps["validate_partition"].outputs["checked_partition"][0].load(),
        "config": config.model_dump(mode="json"),
    }
    with run_context(cli_context(DAY, environment="local", storage_root=str(workspace.root))):
        for shard in (3, 0):
            batch_inference.score_shard(shard=shard, run_id="apart", **inputs)
        assert batch_inference.score_shard(shard=2, run_id="apart", **inputs)["rows"] > 0
    store = PartitionStore(workspace.predictions)
    receipt = next(Path(workspace.predictions).glob("_runs/*/*/_shards/002.json"))
    receipt.write_text(json.dumps(json.loads(receipt.read_text()) | {"span": [0, 1]}))
    scored: list[tuple[int, int]] = []
    original = DayScoring._score
    monkeypatch.setattr(DayScoring, "_score", lambda self, p, span: scored.append(span) or original(self, p, span))
    with run_context(cli_context(DAY, environment="local", storage_root=str(workspace.root))):
        scoring = batch_inference._scoring(
            inputs["partition"],
            inputs["champion"],
            inputs["checked_partition"],
            config,
            "gathering",
            lambda: Client().get_artifact_version(inputs["champion"].model_artifact_id).load(),
        )
        gathered = scoring.gather()
    spans = config.shards.spans(inputs["partition"].rows)
    assert scored == [spans[1], spans[2]]
    parts = [pd.read_parquet(io.BytesIO(store.fs.cat_file(store.absolute(file.path)))) for file in gathered.files]
    frame = pd.concat(parts, ignore_index=True)
    assert frame[COLUMNS].equals(whole)
    assert [part["zenml_run_id"].unique().tolist() for part in parts] == [
        ["apart"],
        ["gathering"],
        ["gathering"],
        ["apart"],
    ]
    # What was published names none of those files, and a reader of the folder sees none of them.
    visible = (Path(workspace.predictions) / f"date={DAY}").glob("model_version=*/*")
    assert sorted(path.name for path in visible) == [f"part-{number:03d}.parquet" for number in range(4)]
    store.remove_leftovers(DAY, keep_run="next")
    assert not list(Path(workspace.predictions).glob("_runs/*/*/_shards"))
    assert read_predictions(workspace.predictions, DAY, COLUMNS).equals(whole)
