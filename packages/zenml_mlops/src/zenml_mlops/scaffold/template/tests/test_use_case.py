"""The use case from end to end without a scheduler: fetch, train, gate, promote, score, look back."""

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from zenml_airflow.settings.project import load_settings
from zenml_mlops.data.partitions import read_predictions
from zenml_mlops.data.tables import made_up_rows
from zenml_mlops.data.validation import InvalidTrainingDataError, validate_training_data
from zenml_mlops.inference.scoring import score
from zenml_mlops.training.config import TrainingConfig
from zenml_pipelines.model import build_model
from zenml_pipelines.use_case import CONTRACT, TABLE

ROOT = Path(__file__).resolve().parents[1]
MLOPS = Path(sys.executable).with_name("mlops")
DAY = "2026-01-05"


@pytest.fixture(scope="module")
def rows():
    return made_up_rows(CONTRACT, TABLE, 600, seed=7)


def test_made_up_rows_keep_the_contract(rows):
    validate_training_data(rows, CONTRACT)
    assert 0 < CONTRACT.events(rows).mean() < 1


def test_a_value_out_of_range_is_named(rows):
    bounded = next((rule for rule in CONTRACT.columns if rule.maximum is not None), None)
    if bounded is None:
        pytest.skip("no column has a range")
    broken = rows.astype({bounded.name: "float64"}).astype({bounded.name: rows[bounded.name].dtype})
    broken.loc[3, bounded.name] = type(rows[bounded.name].iloc[0].item())(bounded.maximum * 10 + 10)
    with pytest.raises(InvalidTrainingDataError, match=bounded.name):
        validate_training_data(broken, CONTRACT)


def test_a_fitted_model_scores_rows_with_and_without_known_values(rows):


    config = TrainingConfig.from_settings(load_settings("local").model_dump())
    features = CONTRACT.features
    model = build_model(config).fit(rows[features], CONTRACT.events(rows))
    risks = score(model, rows)
    assert ((risks >= 0) & (risks <= 1)).all()
    event = CONTRACT.events(rows).to_numpy() == 1
    assert risks[event].mean() > risks[~event].mean()


@pytest.mark.timeout(900)
def test_from_the_table_to_a_traced_prediction(tmp_path):
    """On the table beside the project if it is there, else on made-up rows."""
    table = ROOT / "data" / TABLE.file
    source = str(table) if table.is_file() else "synthetic"
    env = {**os.environ, "MLOPS_STATE_DIR": str(tmp_path), "ZENML_CONFIG_PATH": str(tmp_path / "zenml")}
    env |= {"ZENML_LOCAL_STORES_PATH": str(tmp_path / "zenml" / "stores")}

    def mlops(*arguments, code=0):
        run = subprocess.run([MLOPS, *arguments], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        assert run.returncode == code, f"mlops {' '.join(arguments)}: {run.stdout}{run.stderr}"
        return run.stdout

    mlops("data", "fetch", "--source", source)
    mlops("data", "feed", "--from", DAY)
    mlops("run", "training")
    mlops("promote", load_settings("local").pipelines["training"]["model_name"])
    mlops("run", "batch_inference", "--date", DAY)
    scored = read_predictions(str(tmp_path / "predictions"), date.fromisoformat(DAY))
    assert len(scored) > 0
    first = str(scored[CONTRACT.row_id].iloc[0])
    (tree,) = json.loads(mlops("trace", first, "--json"))["trees"]
    assert tree["state"] == "recorded"
    assert {child["kind"] for child in tree["children"]} >= {"source_row", "partition", "model_version"}
