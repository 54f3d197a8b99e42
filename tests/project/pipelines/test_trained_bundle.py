"""A version that the training pipeline made, exported and scored with on another ZenML store."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from labs import warm
from labs.pipeline_workspace import Workspace

from zenml_mlops.bundles import export_bundle
from zenml_mlops.bundles.archive import open_archive
from zenml_mlops.inference.champion import find_champion, load_model
from zenml_mlops.inference.scoring import score

pytestmark = pytest.mark.trained

PACKAGES = ("governance", "zenml_mlops", "zenml_pipelines")
TARGET = """
import json, sys
from pathlib import Path
import pandas as pd
from zenml.client import Client
from zenml.utils import source_utils
from zenml_mlops.bundles import Rules, import_bundle
from zenml_mlops.cards import render_markdown
from zenml_mlops.cards.records import recorded_card
from zenml_mlops.promotion import promote
from zenml_mlops.inference.champion import find_champion, load_model
from zenml_mlops.training.reference import champion_profile
from zenml_mlops.inference.scoring import score
source_utils.set_custom_source_root(str(Path.cwd()))
bundle, rows = sys.argv[1:]
packages = ("governance", "zenml_mlops", "zenml_pipelines")
rules = Rules(allowed_signers=Path("none"), packages=packages, models=("generated_model",))
import_bundle(bundle, rules, environment="local")
promote("generated_model", 1, environment="local")
champion = find_champion("generated_model", "production")
risks = score(load_model(champion), pd.read_parquet(rows))
version = Client().get_model_version("generated_model", 1)
shown = [item.type.value for item in version.get_artifact("model_card").visualizations]
card = render_markdown(recorded_card("generated_model", 1))
profile = champion_profile("generated_model", "production")[0] is not None
columns = len(champion.contract.columns)
print("ANSWER" + json.dumps([list(map(float, risks)), shown, card, profile, columns]))
"""
SCORED = """
import json, os, sys
from datetime import date
from pathlib import Path
import pandas as pd
from zenml.utils import source_utils
source_utils.set_custom_source_root(str(Path.cwd()))
from labs.lineage_bench import settings_at
from labs.pipeline_workspace import Workspace, land, settings
from zenml_mlops.lineage.tracing import trace_case
from zenml_airflow.context import cli_context, run_context
from zenml_mlops.inference.config import BatchInferenceConfig
from zenml_mlops.monitoring.config import MonitoringConfig
from zenml_mlops.monitoring.findings import read_findings
from zenml_mlops.data.partitions import PartitionStore
from zenml_pipelines.pipelines.monitoring import monitoring
root, rows = Path(sys.argv[1]), pd.read_parquet(sys.argv[2])
batch = BatchInferenceConfig.from_settings(settings()).model_copy(update={"model_name": "generated_model"})
space = Workspace(root, None, batch)
land(space.landing, date(2026, 1, 5), rows)
space.infer(date(2026, 1, 5))
with run_context(cli_context(date(2026, 1, 5), environment="local", storage_root=str(root))):
    watched = MonitoringConfig.from_settings(settings())
    monitoring(config=watched.model_copy(update={"model_name": "generated_model"}))
found = read_findings(PartitionStore(str(root / "monitoring")), date(2026, 1, 5))
encounter = int(rows["encounter_id"].iloc[3])
report = trace_case(settings_at(root), encounter, date(2026, 1, 5), replaced=False)
(tree,) = report.trees
nodes = [[node.kind.value, node.state.value, node.title] for node in tree.walk()]
print("ANSWER" + json.dumps([nodes, found.own.problem, len(found.own.checks)]))
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
    assert {"risk_model", "contract", "metrics", "model_card", "model_card_text"} <= names
    assert not [path for path in paths if path.endswith((".parquet", ".pkl", ".csv", ".gz"))]
    assert not {"train", "test", "rows"} & names


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    """Runs code on a ZenML store that knows nothing of the first."""
    folder = tmp_path_factory.mktemp("target")
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("MLOPS_", "ZENML_CONFIG", "ZENML_LOCAL"))}
    own = {
        "ZENML_CONFIG_PATH": str(folder / "zenml"),
        "ZENML_LOCAL_STORES_PATH": str(folder / "stores"),
    }

    def run(code, *arguments):
        done = warm.run(["-c", code, *map(str, arguments)], env={**keep, **own})
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.rpartition("ANSWER")[2])

    return run


def test_the_same_risks_come_out_on_another_store(bundle, day_frame, tmp_path, target):
    champion = find_champion("generated_model", "production")
    expected = score(load_model(champion), day_frame)
    day_frame.to_parquet(tmp_path / "rows.parquet")
    risks, shown, card, profile, columns = target(TARGET, bundle.location, tmp_path / "rows.parquet")
    assert risks == list(map(float, expected))
    assert shown == ["html"]
    assert "import" in card
    assert "unsigned" in card
    assert profile
    assert columns == len(champion.contract.columns)


def test_a_prediction_of_the_other_server_is_traced_to_the_server_that_trained(day_frame, tmp_path, target):
    """After the import above. What did not travel, the training rows, is named and not guessed."""
    day_frame.to_parquet(tmp_path / "rows.parquet")
    nodes, problem, checks = target(SCORED, tmp_path / "root", tmp_path / "rows.parquet")
    found = {(kind, state) for kind, state, _ in nodes}
    assert {("source_row", "recorded"), ("partition", "recorded"), ("zenml_run", "recorded")} <= found
    assert {("model_version", "imported"), ("origin", "imported"), ("gates", "imported")} <= found
    assert {("zenml_run", "imported"), ("training_data", "imported"), ("code", "imported")} <= found
    # Both servers promoted it.
    assert {("transition", "imported"), ("transition", "recorded")} <= found
    assert ("training_row", "missing") in found
    # The profile came along with the version.
    assert problem == ""
    assert checks > 50
