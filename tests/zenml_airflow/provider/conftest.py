import json
import os
from pathlib import Path

import pytest
from labs import warm
from labs.zenml_server import (
    connection,
    zenml_server,  # noqa: F401 - a fixture
)

from zenml_airflow.hooks.zenml import ZenMLHook

CONN_ID = "zenml_lab"


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """A trigger fires as soon as it can."""
    monkeypatch.setattr("zenml_airflow.sensors.triggers.DEFERRED_SECONDS", 0)


@pytest.fixture(scope="session")
def conn_id(zenml_server):  # noqa: F811
    """An Airflow connection of the running ZenML server."""
    variable = f"AIRFLOW_CONN_{CONN_ID.upper()}"
    os.environ[variable] = connection(zenml_server.url, zenml_server.api_key)
    yield CONN_ID
    del os.environ[variable]


@pytest.fixture(scope="session")
def records(conn_id, tmp_path_factory):
    """Records on the server, written by ZenML's client in a process that knows what the hook told it, no more."""
    folder = tmp_path_factory.mktemp("zenml-client")
    result = warm.run(
        [str(Path(__file__).with_name("zenml_seed.py"))],
        env={**os.environ, "ZENML_CONFIG_PATH": str(folder), **ZenMLHook(conn_id).get_environment()},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return {**json.loads(result.stdout.strip().splitlines()[-1]), "client_folder": folder}
