"""One message a failed run, through the stack's alerter."""

from __future__ import annotations

import json
import os
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from labs import ROOT, stores, warm

from zenml_airflow.contracts.extensions import ALERTS

pytestmark = pytest.mark.airflow

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A DAG with three failing tasks, run by Airflow on a stack whose alerter writes to a file."""
    folder = tmp_path_factory.mktemp("alerts")
    environment = {
        **os.environ,
        "MLOPS_STATE_DIR": str(folder / "state"),
        "MLOPS_DAGS_DIR": str(HERE / "dags"),
        "ALERTS": str(folder / "alerts.txt"),
        "PYTHONPATH": os.pathsep.join((str(HERE), os.environ["PYTHONPATH"])),
    }
    stores.give(folder / "state")
    result = warm.run([str(HERE / "alert_play.py")], cwd=ROOT, env=environment)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    found = json.loads(result.stdout.strip().splitlines()[-1])
    return found, (folder / "alerts.txt").read_text().splitlines()


def test_the_channel_is_one_of_the_bridges():
    assert "zenml_mlops.hooks.alerting:notify_stack_alerter" in {
        entry.value for entry in entry_points(group=ALERTS)
    }


def test_a_run_with_three_failed_tasks_is_told_once(told):
    found, messages = told
    assert found["state"] == "failed"
    assert sorted(found["failed"]) == ["one", "three", "two"]
    (message,) = messages
    assert message.startswith(f"DAG failing, run {found['run_id']} failed in environment 'local'")
    assert "reason: task_failure" in message


def test_without_an_alerter_the_message_is_logged(told):
    found, _ = told
    assert "has an alerter" in found["logged"]
    assert "DAG failing" in found["logged"]
