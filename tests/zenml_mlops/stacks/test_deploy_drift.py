"""A deployment finds that the environment is not as its stack file says."""

import json
import shutil

import pytest
from labs import ROOT

from zenml_airflow.settings.project import PROJECT_ROOT_ENV, STATE_DIR_ENV, load_settings
from zenml_mlops.audit import AUDIT_LOG_ENV
from zenml_mlops.environment.stack_changes import StackDriftError, check_before_deployment
from zenml_mlops.stacks.apply import apply_stack_file
from zenml_mlops.stacks.load import check_stack_file

STORE = "artifact_store"


@pytest.fixture
def environment(tmp_path, monkeypatch, client):
    """Applies a laptop's stack for an environment, and reads that environment's settings."""

    def read(name):
        root = tmp_path / "project"
        for folder in ("configs", "stacks"):
            shutil.copytree(ROOT / folder, root / folder, dirs_exist_ok=True)
        stack = (ROOT / "stacks" / "local.yaml").read_text().replace("name: local", f"name: {name}", 1)
        (root / "stacks" / f"{name}.yaml").write_text(stack)
        shutil.copy(ROOT / "configs" / "local.yaml", root / "configs" / f"{name}.yaml")
        monkeypatch.setenv(PROJECT_ROOT_ENV, str(root))
        monkeypatch.setenv(STATE_DIR_ENV, str(tmp_path / "state"))
        monkeypatch.setenv(AUDIT_LOG_ENV, str(tmp_path / "audit.jsonl"))
        settings = load_settings(name)
        loaded = check_stack_file(root / "stacks" / f"{name}.yaml", {"state_dir": str(settings.state_dir)})
        list(apply_stack_file(loaded, {}))
        return settings

    return read


def change_by_hand(client):
    store = client.get_stack_component(STORE, "local_files")
    client.update_stack_component(store.id, STORE, configuration={"path": "/elsewhere"})


def test_an_environment_as_its_file_says_is_deployed_to(environment, tmp_path):
    said = []
    assert check_before_deployment(environment("staging"), said.append).file.name == "staging"
    assert said == []
    assert not (tmp_path / "audit.jsonl").exists()


def test_drift_stops_a_deployment_where_that_is_enforced(client, environment, tmp_path):
    settings = environment("staging")
    change_by_hand(client)
    with pytest.raises(StackDriftError) as error:
        check_before_deployment(settings, print)
    message = str(error.value)
    assert "artifact_store local_files was changed by hand: path: '/elsewhere' -> " in message
    assert "`mlops stack apply staging`" in message
    (entry,) = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert (entry["action"], entry["subject"], entry["outcome"]) == ("deploy", "stack:local", "refused")
    assert entry["reason"] == message
    # Nothing was repaired on the way.
    assert client.get_stack_component(STORE, "local_files").configuration["path"] == "/elsewhere"


def test_on_a_laptop_it_is_a_warning(client, environment, tmp_path):
    settings = environment("local")
    change_by_hand(client)
    said = []
    check_before_deployment(settings, said.append)
    (line,) = said
    assert line.startswith("drift: ")
    assert "local_files was changed by hand" in line
    assert not (tmp_path / "audit.jsonl").exists()
