"""`mlops status` where nothing runs, and where something does; `tests/platforms/browser` has a real Airflow."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import date
from pathlib import Path

import pytest
from labs import ROOT, stores, warm

from zenml_airflow.settings.project import Settings, load_settings
from zenml_mlops.data.partitions import PartitionManifest, PartitionStore

LAST_DAY = date(2026, 3, 31)
"""The last day of the local schedule, see configs/local.yaml."""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def status(state: Path):
    """Runs the command in a process of its own, on a state folder of its own."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "ZENML_"))}
        return warm.run(
            ["-m", "zenml_mlops.cli.app", "status", *arguments],
            env={**kept, "MLOPS_STATE_DIR": str(state), "COLUMNS": "160", **variables},
            cwd=ROOT,
            timeout=240,
        )

    return run


def sections(result: subprocess.CompletedProcess[str]) -> dict:
    assert result.returncode in (0, 3), result.stderr
    answer = json.loads(result.stdout)
    assert (answer["schema_version"], answer["environment"]) == (1, "local")
    return answer["sections"]


def publish(settings: Settings, day: date) -> None:
    store = PartitionStore(settings.resolve(settings.storage.predictions))
    path = store.run_path(day, "run")
    with store.open_new(f"{path}/part-000.parquet") as file:
        file.write(b"rows")
    stored = store.stored(f"{path}/part-000.parquet", 104)
    manifest = {"partition_date": day, "zenml_run_id": "run", "rows": 104, "files": (stored,), "model_version": 7}
    store.publish(day, path, PartitionManifest.model_validate(manifest))


def test_where_nothing_runs_every_section_says_why(status):
    result = status("--json")
    assert result.returncode == 3
    found = sections(result)
    assert {row["state"] for row in found["services"]["rows"]} == {"stopped"}
    assert {row["environment"] for row in found["environments"]["rows"]} == {
        "compose",
        "local",
        "production",
        "staging",
    }
    for title in ("dags", "required actions"):
        assert found[title]["problem"] == "Airflow has not been started in this folder yet: run `make up`."
    assert "mlops deploy" in found["models"]["problem"]
    (partition,) = found["last partition"]["rows"]
    assert (partition["day"], partition["partition"], partition["run"]) == (str(LAST_DAY), "none", "not known")


def test_people_are_told_the_same(status):
    result = status()
    assert result.returncode == 3
    for text in (
        "scheduler",
        "stopped",
        "production",
        "Airflow has not been started",
        "mlops deploy",
        str(LAST_DAY),
    ):
        assert text in result.stdout


def test_an_airflow_that_does_not_answer_is_named(status, state: Path):
    (state / "airflow").mkdir(parents=True)
    (state / "airflow" / "passwords.json").write_text('{"admin": "x"}')
    found = sections(status("--json", MLOPS_AIRFLOW_PORT="9"))
    assert "Airflow does not answer at http://127.0.0.1:9" in found["dags"]["problem"]
    # Everything else is shown all the same.
    assert found["last partition"]["problem"] is None


def test_the_partition_and_the_models_are_shown_without_airflow(status, state: Path, monkeypatch):
    monkeypatch.setenv("MLOPS_STATE_DIR", str(state))
    publish(load_settings("local"), LAST_DAY)
    stores.give_zenml(state / "zenml")
    code = (
        "from zenml_mlops.environment.process import enter; enter('local')\n"
        "from zenml.client import Client\n"
        "client = Client(); client.create_model(name='a_model')\n"
        "versions = [client.create_model_version('a_model') for _ in range(3)]\n"
        "client.update_model_version('a_model', versions[0].id, stage='production', force=True)\n"
    )
    made = warm.run(["-c", code])
    assert made.returncode == 0, made.stderr
    found = sections(status("--json"))
    (partition,) = found["last partition"]["rows"]
    assert (partition["partition"], partition["rows"], partition["model version"]) == ("scored", 104, 7)
    assert found["models"]["rows"] == [
        {"model": "a_model", "versions": 3, "newest": 3, "staging": None, "production": 1}
    ]


def test_an_unknown_environment_is_a_sentence(status):
    result = status("--env", "moon")
    assert result.returncode == 1
    assert "No environment 'moon'" in result.stderr
