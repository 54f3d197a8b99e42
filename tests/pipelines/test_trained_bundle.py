"""A version that the training pipeline made, exported and scored with on another ZenML store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pipeline_workspace import Workspace

from governance.bundles import export_bundle
from governance.bundles.archive import open_archive
from zenml_pipelines.champion import find_champion, load_model
from zenml_pipelines.scoring import score

PACKAGES = ("governance", "zenml_pipelines")
TARGET = """
import json, sys
from pathlib import Path
import pandas as pd
from zenml.client import Client
from zenml.utils import source_utils
from governance.bundles import Rules, import_bundle
from governance.cards import render_markdown
from governance.cards.records import recorded_card
from governance.promotion import promote
from zenml_pipelines.champion import champion_profile, find_champion, load_model
from zenml_pipelines.scoring import score

source_utils.set_custom_source_root(str(Path.cwd()))
bundle, rows = sys.argv[1:]
packages = ("governance", "zenml_pipelines")
rules = Rules(allowed_signers=Path("none"), packages=packages, models=("generated_model",))
import_bundle(bundle, rules, environment="local")
promote("generated_model", 1, environment="local")
champion = find_champion("generated_model", "production")
risks = score(load_model(champion), pd.read_parquet(rows))
version = Client().get_model_version("generated_model", 1)
shown = [item.type.value for item in version.get_artifact("model_card").visualizations]
card = render_markdown(recorded_card("generated_model", 1))
profile = champion_profile("generated_model", "production")[0] is not None
columns = len(champion.feature_schema.columns)
print("ANSWER" + json.dumps([list(map(float, risks)), shown, card, profile, columns]))
"""


@pytest.fixture(scope="module")
def bundle(in_production: Workspace, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    number = find_champion("generated_model", "production").version
    return export_bundle("generated_model", number, str(folder), packages=PACKAGES, environment="local")


def test_no_row_of_data_travels(bundle):
    with open_archive(Path(bundle.location)) as archive:
        names = {artifact.name for artifact in archive.manifest.artifacts}
        paths = [file.path for file in archive.manifest.files]
    assert {"risk_model", "feature_schema", "metrics", "model_card", "model_card_text"} <= names
    assert not [path for path in paths if path.endswith((".parquet", ".pkl", ".csv", ".gz"))]
    assert not {"train", "test", "encounters"} & names


def test_the_same_risks_come_out_on_another_store(bundle, day_frame, tmp_path):
    champion = find_champion("generated_model", "production")
    expected = score(load_model(champion), day_frame)
    day_frame.to_parquet(tmp_path / "rows.parquet")
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("MLOPS_", "ZENML_CONFIG", "ZENML_LOCAL"))}
    store = {"ZENML_CONFIG_PATH": str(tmp_path / "zenml"), "ZENML_LOCAL_STORES_PATH": str(tmp_path / "stores")}
    done = subprocess.run(
        [sys.executable, "-c", TARGET, bundle.location, tmp_path / "rows.parquet"],
        env={**keep, **store},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    risks, shown, card, profile, columns = json.loads(done.stdout.rpartition("ANSWER")[2])
    assert risks == list(map(float, expected))
    assert shown == ["html"]
    assert "import" in card
    assert "unsigned" in card
    assert profile
    assert columns == len(champion.feature_schema.columns)
