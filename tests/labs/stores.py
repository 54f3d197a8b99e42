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
MLFLOW = """
import sys
from mlflow.store.db import utils
utils._initialize_tables(utils.create_sqlalchemy_engine(f"sqlite:///{sys.argv[1]}"))
"""


def give_airflow(home):
    """Put a migrated SQLite database where an Airflow whose home is ``home`` looks for it."""
    return _give("airflow", Path(home) / "airflow.db")


def give_zenml(config):
    """Put an initialised store where a ZenML whose configuration lies in ``config`` looks for it."""
    return _give("zenml", Path(config) / "local_stores" / "default_zen_store" / "zenml.db")


def give_mlflow(state):
    """Put an empty tracking database where a state folder of ``mlops`` has it."""
    return _give("mlflow", Path(state) / "mlflow" / "mlflow.db")


def give(state):
    """Both, for a state folder of ``mlops``."""
    give_airflow(Path(state) / "airflow")
    give_zenml(Path(state) / "zenml")


def _give(kind, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_template(kind), path)
    return path


@cache
def _template(kind):
    """The database that is copied, made by the first of a run's workers that needs it."""
    run = Path(os.environ["TESTS_RUN"])
    path = run / f"{kind}.db"
    with (run / f"{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            with tempfile.TemporaryDirectory() as place:
                _MAKE[kind](Path(place)).rename(path)
    return path


def _make_airflow(home):
    database = home / "airflow.db"
    airflow = {"AIRFLOW_HOME": str(home), "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{database}"}
    warm.run(["-c", AIRFLOW], env={**os.environ, **airflow}, check=True)
    return database


def _make_zenml(config):
    zenml = {"ZENML_CONFIG_PATH": str(config), "ZENML_LOCAL_STORES_PATH": str(config / "local_stores")}
    warm.run(["-c", ZENML], env={**os.environ, **zenml}, check=True)
    return config / "local_stores" / "default_zen_store" / "zenml.db"


def _make_mlflow(folder):
    warm.run(["-c", MLFLOW, folder / "mlflow.db"], check=True)
    return folder / "mlflow.db"


_MAKE = {"airflow": _make_airflow, "zenml": _make_zenml, "mlflow": _make_mlflow}
