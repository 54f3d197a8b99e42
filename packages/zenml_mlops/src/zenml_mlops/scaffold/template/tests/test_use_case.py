"""The use case from end to end without a scheduler: fetch, train, gate, promote, score, look back."""

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from zenml_mlops.data.errors import DataError
from zenml_mlops.data.partitions import read_predictions
from zenml_mlops.data.validation import InvalidTrainingDataError, validate_training_data
from zenml_mlops.inference.scoring import score
from zenml_pipelines.model import build_model
from zenml_pipelines.use_case import synthetic
from zenml_pipelines.use_case.contract import COLUMN_RULES, EVENT, LABEL, ROW_ID, feature_schema
from zenml_pipelines.use_case.schema import CSV_NAME, read_rows

ROOT = Path(__file__).resolve().parents[2]
MLOPS = Path(sys.executable).with_name("mlops")
DAY = "2026-01-05"


@pytest.fixture(scope="module")
def rows():
    return synthetic.generate(600, seed=7)


def test_made_up_rows_keep_the_contract(rows):
    validate_training_data(rows)
    assert 0 < (rows[LABEL] == EVENT).mean() < 1


def test_a_written_table_is_read_as_it_was(rows, tmp_path):
    path = tmp_path / CSV_NAME
    synthetic.write_synthetic(path, 600, seed=7)
    found = read_rows(path)
    assert list(found.columns) == [*(rule.name for rule in COLUMN_RULES), LABEL]
    assert (found[LABEL] == rows[LABEL]).all()
    assert (found[ROW_ID] == rows[ROW_ID]).all()


def test_a_missing_column_is_named(tmp_path):
    path = tmp_path / CSV_NAME
    synthetic.write_synthetic(path, 20, seed=7)
    lost = feature_schema().features[0]
    pd.read_csv(path, dtype=str).drop(columns=lost).to_csv(path, index=False)
    with pytest.raises(DataError, match=lost):
        read_rows(path)


def test_a_value_out_of_range_is_named(rows):
    bounded = next((rule for rule in COLUMN_RULES if rule.maximum is not None), None)
    if bounded is None:
        pytest.skip("no column has a range")
    broken = rows.astype({bounded.name: "float64"}).astype({bounded.name: rows[bounded.name].dtype})
    broken.loc[3, bounded.name] = type(rows[bounded.name].iloc[0].item())(bounded.maximum * 10 + 10)
    with pytest.raises(InvalidTrainingDataError, match=bounded.name):
        validate_training_data(broken)


def test_a_fitted_model_scores_rows_with_and_without_known_values(rows):
    from zenml_mlops.use_case import get_pipeline

    from zenml_airflow.settings.project import load_settings
    config = get_pipeline("training").build_config(load_settings("local").model_dump())
    features = feature_schema().features
    model = build_model(config).fit(rows[features], (rows[LABEL] == EVENT).astype(int))
    risks = score(model, rows)
    assert ((risks >= 0) & (risks <= 1)).all()
    assert risks[(rows[LABEL] == EVENT).to_numpy()].mean() > risks[(rows[LABEL] != EVENT).to_numpy()].mean()


@pytest.mark.timeout(900)
def test_from_the_table_to_a_traced_prediction(tmp_path):
    """On the table beside the project if it is there, else on made-up rows."""
    table = ROOT / "data" / CSV_NAME
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
    mlops("promote", {{ name | literal }})
    mlops("run", "batch_inference", "--date", DAY)
    scored = read_predictions(str(tmp_path / "predictions"), date.fromisoformat(DAY))
    assert len(scored) > 0
    first = str(scored[ROW_ID].iloc[0])
    (tree,) = json.loads(mlops("trace", first, "--json"))["trees"]
    assert tree["state"] == "recorded"
    assert {child["kind"] for child in tree["children"]} >= {"source_row", "partition", "model_version"}
