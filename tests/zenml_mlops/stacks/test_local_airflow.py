"""What local services take from the stack file, and what they refuse to pretend."""

import json
import os
import shutil
import sqlite3

import pytest
from labs import ROOT

from zenml_airflow.settings.project import PROJECT_ROOT_ENV, STATE_DIR_ENV, load_settings
from zenml_mlops.local import airflow as local_airflow
from zenml_mlops.local.airflow import UnfitStackError, import_pools, services_environment
from zenml_mlops.local.services import prepare


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Reads the local environment of a checkout whose stack file has some texts replaced."""

    def read(*changes):
        for name in ("configs", "stacks", "dags"):
            shutil.copytree(ROOT / name, tmp_path / "project" / name, dirs_exist_ok=True)
        text = (ROOT / "stacks" / "local.yaml").read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "project" / "stacks" / "local.yaml").write_text(text)
        monkeypatch.setenv(PROJECT_ROOT_ENV, str(tmp_path / "project"))
        monkeypatch.setenv(STATE_DIR_ENV, str(tmp_path / "state"))
        return load_settings("local")

    return read


def test_executor_queue_and_bundle_are_those_of_the_stack_file(settings):
    local = settings(
        ("bundle: {kind: local}", "bundle: {kind: local, refresh_seconds: 60}"),
        ("  bundle: {", "  queues: [small, large]\n  bundle: {"),
    )
    told = services_environment(local)
    assert told["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert told["AIRFLOW__OPERATORS__DEFAULT_QUEUE"] == "small"
    (bundle,) = json.loads(told["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    assert bundle["kwargs"] == {"path": str(local.dags_dir), "refresh_interval": 60}


@pytest.mark.parametrize("executor", ["CeleryExecutor", "KubernetesExecutor"])
def test_an_executor_that_one_machine_has_not_is_refused_with_the_way_out(settings, executor):
    with pytest.raises(UnfitStackError) as error:
        services_environment(settings(("LocalExecutor", executor)))
    assert f"stacks/local.yaml asks for {executor}" in str(error.value)
    assert "docker-compose.yml" in str(error.value)
    assert "name LocalExecutor in airflow.executor" in str(error.value)


def test_a_git_bundle_needs_its_provider(settings, monkeypatch):
    asked = settings(("bundle: {kind: local}", "bundle: {kind: git, tracking_ref: main, connection: git_dags}"))
    monkeypatch.setattr(local_airflow, "GIT_PROVIDER", "airflow.providers.standard")
    told = services_environment(asked)
    (bundle,) = json.loads(told["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    assert bundle["kwargs"]["tracking_ref"] == "main"
    monkeypatch.setattr(local_airflow, "GIT_PROVIDER", "airflow.providers.nowhere")
    with pytest.raises(UnfitStackError, match="apache-airflow-providers-git"):
        services_environment(asked)


@pytest.mark.airflow
def test_the_pools_of_the_stack_file_are_in_airflows_database(settings):
    """In a database that Airflow itself has made."""
    pools = ("airflow:\n  executor", "airflow:\n  pools: {training: {slots: 2, description: Big}}\n  executor")
    local = settings(pools)
    prepare(local, lambda _: None)
    environment = {**os.environ, **services_environment(local)}
    assert import_pools(local, environment) == ["training"]
    with sqlite3.connect(local.state_dir / "airflow" / "airflow.db") as database:
        found = database.execute("SELECT pool, slots, description FROM slot_pool ORDER BY id").fetchall()
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert [row[0] for row in found] == ["default_pool", "training"]
    assert found[1][1:] == (2, "Big")
