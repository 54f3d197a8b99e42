"""The main job in a real Airflow: what `make demo` does."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from zenml_pipelines.use_case import TABLE

ROOT = Path(__file__).resolve().parents[1]
MLOPS = Path(sys.executable).with_name("mlops")

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(1800)]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def mlops(env, *words):
    return subprocess.run([MLOPS, *words], cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def test_the_demo_trains_promotes_and_backfills_a_week(tmp_path):
    table = ROOT / "data" / TABLE.file
    env = {**os.environ, "MLOPS_STATE_DIR": str(tmp_path), "ZENML_CONFIG_PATH": str(tmp_path / "zenml")}
    env |= {"MLOPS_AIRFLOW_PORT": free_port(), "MLOPS_MLFLOW_PORT": free_port()}
    source = str(table) if table.is_file() else "synthetic"
    try:
        run = mlops(env, "demo", "--source", source)
        assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-3000:] + mlops(env, "logs").stdout[-6000:]
        assert "Airflow, ZenML and the files agree" in run.stdout
        assert len([line for line in run.stdout.splitlines() if line.startswith("│ 2026-01-")]) == 7
    finally:
        mlops(env, "down")
