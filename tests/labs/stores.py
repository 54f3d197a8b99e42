"""Databases that are made once and copied: bringing an empty one to today's tables takes seconds each time."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

from labs import warm

AIRFLOW = "from airflow.utils.db import initdb; initdb()"
ZENML = "from zenml.client import Client; Client().active_stack_model"


def give_airflow(home):
    """Put a migrated SQLite database where an Airflow whose home is ``home`` looks for it."""
    return _give(_templates() / "airflow.db", Path(home) / "airflow.db")


def give_zenml(config):
    """Put an initialised store where a ZenML whose configuration lies in ``config`` looks for it."""
    return _give(_templates() / "zenml.db", Path(config) / "local_stores" / "default_zen_store" / "zenml.db")


def give(state):
    """Both, for a state folder of ``mlops``."""
    give_airflow(Path(state) / "airflow")
    give_zenml(Path(state) / "zenml")


def _give(template, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(template, path)
    return path


@cache
def _templates():
    """The folder of the templates, made by the first of the workers of a run that needs them."""
    folder = Path(os.environ["TESTS_TEMPLATES"])
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "zenml.db").exists():
            _make(folder)
    return folder


def _make(folder):
    with tempfile.TemporaryDirectory() as place:
        home, config = Path(place, "airflow"), Path(place, "zenml")
        airflow = {
            **os.environ,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        }
        warm.run(["-c", AIRFLOW], env=airflow, check=True)
        zenml = {
            **os.environ,
            "ZENML_CONFIG_PATH": str(config),
            "ZENML_LOCAL_STORES_PATH": str(config / "local_stores"),
        }
        warm.run(["-c", ZENML], env=zenml, check=True)
        shutil.copyfile(home / "airflow.db", folder / "airflow.db")
        shutil.copyfile(config / "local_stores" / "default_zen_store" / "zenml.db", folder / "zenml.db")
