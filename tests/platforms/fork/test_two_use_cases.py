"""Two use cases of one project: pipelines, models, tables and DAGs of their own; one Airflow, one ZenML server."""

import json
import subprocess

import pytest
from labs import stores, warm
from labs.scaffolds import ENV, ROOT, commit, git, new
from labs.tables import breast_cancer, customers

DAY = "2026-01-05"
NAMES = ("training", "batch_inference", "champion_challenger", "monitoring")
RUN_DAGS = """
import json, sys
from datetime import datetime, timezone
from zenml_mlops.environment.process import enter

enter("local")
from airflow.dag_processing.dagbag import DagBag

bag = DagBag(dag_folder=sys.argv[1], bundle_name="dags")
assert not bag.import_errors, bag.import_errors
day = datetime.fromisoformat(sys.argv[2]).replace(tzinfo=timezone.utc)
states = {name: str(bag.dags[name].test(logical_date=day).state) for name in sys.argv[3:]}
print(json.dumps({"dags": sorted(bag.dags), "states": states}))
"""
RECORDS = """
import json
from zenml_mlops.environment.process import enter

enter("local")
from zenml.client import Client

runs = Client().list_pipeline_runs(size=100)
print(json.dumps({
    "server": Client().zen_store.url,
    "pipelines": sorted({run.pipeline.name for run in runs}),
    "models": {one.name: len(Client().list_model_versions(model=one.name)) for one in Client().list_models()},
}))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    place = tmp_path_factory.mktemp("two")
    for name, table in (("tumours", breast_cancer()), ("loyal", customers(6000))):
        (place / f"{name}.csv").write_text(table)
    folder = place / "project"
    new(folder, place / "tumours.csv", "--name", "tumours", "--target", "diagnosis", "--event", "malignant")
    new(folder, place / "loyal.csv", "--name", "loyal", "--target", "churned", "--event", "yes")
    commit(folder, "A second use case")
    return folder


@pytest.fixture(scope="module")
def run(project, zenml_server):
    home = project.parent
    # The packages of the project, and not those of this checkout: an environment of its own.
    subprocess.run(["make", "setup"], cwd=project, env=ENV, capture_output=True, check=True)
    environment = {
        **ENV,
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow' / 'airflow.db'}",
        "MLOPS_STATE_DIR": str(home / "state"),
        "ZENML_CONFIG_PATH": str(home / "state" / "zenml"),
        "ZENML_LOCAL_STORES_PATH": str(home / "state" / "zenml" / "local_stores"),
        "ZENML_STORE_URL": zenml_server.url,
        "ZENML_STORE_API_KEY": zenml_server.api_key,
    }
    stores.give(home / "state")
    stores.give_airflow(home / "airflow")

    def python(*arguments):
        command = [project / ".venv" / "bin" / "python", *arguments]
        result = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-6000:]
        return result.stdout

    return python


def mlops(run, *arguments):
    return run("-m", "zenml_mlops.cli.app", *arguments)


def script(project, code):
    path = project.parent / "play.py"
    path.write_text(code)
    return path


@pytest.mark.timeout(900)
def test_both_train_are_promoted_and_score_the_same_day_beside_each_other(project, run, zenml_server):
    said = mlops(run, "deploy")
    assert all(f"deployed {name} to local" in said for name in (*NAMES, *(f"loyal_{name}" for name in NAMES)))
    for use_case in ("tumours", "loyal"):
        mlops(run, "--use-case", use_case, "data", "fetch", "--source", str(project.parent / f"{use_case}.csv"))
        mlops(run, "--use-case", use_case, "data", "feed", "--from", DAY)
    mlops(run, "run", "training")
    mlops(run, "run", "loyal_training")
    for model in ("tumours", "loyal"):
        mlops(run, "promote", model)
    dags = ("tumours_batch_inference", "loyal_batch_inference")
    found = json.loads(run(script(project, RUN_DAGS), project / "dags", DAY, *dags).splitlines()[-1])
    assert found["states"] == dict.fromkeys(dags, "success")
    kinds = ("batch_inference", "monitoring", "promotion", "training")
    assert found["dags"] == sorted(
        [*(f"{a}_{b}" for a in ("loyal", "tumours") for b in kinds), "zenml_maintenance"]
    )

    state = project.parent / "state"
    scored = {
        name: json.loads((state / place / f"date={DAY}" / "_manifest.json").read_text())
        for name, place in (("tumours", "predictions"), ("loyal", "loyal/predictions"))
    }
    assert {name: one["model_name"] for name, one in scored.items()} == {"tumours": "tumours", "loyal": "loyal"}
    assert scored["tumours"]["zenml_run_id"] != scored["loyal"]["zenml_run_id"]
    recorded = json.loads(run(script(project, RECORDS)).splitlines()[-1])
    assert recorded["server"] == zenml_server.url
    assert recorded["models"] == {"tumours": 1, "loyal": 1}
    assert recorded["pipelines"] == ["batch_inference", "loyal_batch_inference", "loyal_training", "training"]


def test_a_use_case_is_asked_for_by_name_and_a_wrong_one_is_a_sentence(project, run):
    rows = json.loads(mlops(run, "--use-case", "loyal", "config", "show", "--json"))
    assert "loyal/predictions" in json.dumps(rows)
    wrong = warm.run(
        ["-m", "zenml_mlops.cli.app", "--use-case", "lyal", "data", "feed", "--from", DAY], cwd=project
    )
    assert wrong.returncode == 1
    assert "No use case 'lyal'" in wrong.stderr
    again = new(project, project.parent / "loyal.csv", "--name", "loyal", "--target", "churned", code=1)
    assert "has a use case 'loyal' already" in again
    assert git(project, "status", "--short") == []
    assert ROOT not in project.parents
