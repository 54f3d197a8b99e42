"""Batch inference and the service give every encounter of a test set the same risk and decision."""

from __future__ import annotations

import zipfile
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient
from labs import REAL_DATA
from labs.pipeline_workspace import land
from serving_lab import open_workspace, to_row

from zenml_mlops.serving.deployment import deployment
from zenml_pipelines.use_case.schema import ENCOUNTER_ID

DAY = date(2026, 1, 5)
BOTH = "both_ways_model"


@pytest.fixture(scope="module")
def both(tmp_path_factory, generated_csv):
    """A model in production and its test set: of the published encounters, or generated ones where those lack."""
    from zenml_mlops.promotion import promote

    root = tmp_path_factory.mktemp("both")
    csv = generated_csv
    if REAL_DATA.is_file():
        with zipfile.ZipFile(REAL_DATA) as archive:
            archive.extractall(root / "unpacked")
        csv = next((root / "unpacked").rglob("diabetic_data.csv"))
    workspace = open_workspace(root / "work", csv, BOTH, trees=60)
    run = workspace.train()
    promote(BOTH, 1)
    test = run.steps["split_data"].outputs["test"][0].load()
    return workspace, test.drop(columns="readmitted", errors="ignore").reset_index(drop=True)


def test_batch_and_service_agree_on_every_row(both, config):
    workspace, test = both
    land(workspace.landing, DAY, test)
    workspace.infer(DAY)
    (file,) = (workspace.root / workspace.batch.predictions).rglob("part-*.parquet")
    batch = pq.read_table(file).to_pandas().set_index(ENCOUNTER_ID)
    assert len(batch) == len(test) > 800

    served = config.model_copy(update={"model_name": BOTH})
    assert served.decision_threshold == workspace.batch.decision_threshold
    rows = [to_row(record) for record in pa.Table.from_pandas(test, preserve_index=False).to_pylist()]
    app, _ = deployment(served)
    found = []
    sizes = [1, 2, 7, 100, 999]
    with TestClient(app) as client:
        begin = 0
        while begin < len(rows):
            size = sizes.pop(0) if sizes else served.most_rows
            answer = client.post("/v1/score", json={"rows": rows[begin : begin + size]})
            assert answer.status_code == 200, answer.text
            found += answer.json()["predictions"]
            begin += size
    ids = [one["encounter_id"] for one in found]
    assert ids == test[ENCOUNTER_ID].tolist()
    expected = batch.loc[ids]
    assert np.array_equal(expected["risk"].to_numpy(), np.array([one["risk"] for one in found]))
    assert expected["decision"].tolist() == [one["decision"] for one in found]
    assert set(expected["decision"]) == {"high_risk", "low_risk"}
