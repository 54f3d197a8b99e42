"""A test run never reads or writes the stores that the developer's own shell points at."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from labs import ROOT

pytestmark = pytest.mark.airflow

CONFTEST = ROOT / "tests" / "conftest.py"
ASK = """
import atexit, json, os, runpy, sys
sys.path.insert(0, os.path.dirname({conftest!r}))
conftest = runpy.run_path({conftest!r})
atexit.register(conftest["pytest_sessionfinish"])
from airflow.configuration import conf
from zenml.client import Client
from zenml_airflow.settings.project import load_settings
import mlflow
print(json.dumps({{
    "session": str(conftest["_SESSION"]),
    "zenml": Client().zen_store.url,
    "stack": Client().active_stack_model.name,
    "airflow": conf.get("database", "sql_alchemy_conn"),
    "dags": conf.get("core", "dags_folder"),
    "state": str(load_settings().state_dir),
    "mlflow": mlflow.get_tracking_uri(),
}}))
"""


def test_the_developers_own_environment_loses(tmp_path):
    mine = tmp_path / "mine"
    hostile = {
        "AIRFLOW_HOME": str(mine / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(mine / "dags"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{mine / 'airflow.db'}",
        "MLFLOW_TRACKING_URI": f"sqlite:///{mine / 'mlflow.db'}",
        "MLOPS_ENV": "production",
        "MLOPS_STATE_DIR": str(mine / "state"),
        "ZENML_ACTIVE_STACK_ID": "00000000-0000-4000-8000-000000000000",
        "ZENML_CONFIG_PATH": str(mine / "zenml"),
        "ZENML_STORE_URL": f"sqlite:///{mine / 'zenml.db'}",
    }
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ASK.format(conftest=str(CONFTEST))],
        env={**os.environ, **hostile},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout.strip().splitlines()[-1])
    session = found.pop("session")
    assert found.pop("stack") == "default"
    assert str(mine) not in json.dumps(found)
    assert all(session in found[store] for store in ("zenml", "airflow", "state"))
    assert not mine.exists()
    assert not Path(session).exists(), "the session's folder was left behind"
