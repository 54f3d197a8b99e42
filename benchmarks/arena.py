"""Where the contenders race: a state folder of its own, data, a model in production, a running Airflow."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.contenders import Contender
from benchmarks.facts import PLAIN_ROOT

if TYPE_CHECKING:
    from zenml_airflow.settings.project import Settings
    from zenml_mlops.airflow_api.api import AirflowApi

ROOT = Path(__file__).resolve().parents[1]
FIRST_DAY = date(2026, 1, 1)
DAYS = 90
"""Days of data: the real schedule of batch inference ends after them."""
BACKFILL_DAYS = 30
REAL_DATA = (ROOT / "../shared/data/diabetes130.zip").resolve()
DATA_ENV = "DIABETES130_ZIP"

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Arena:
    """A prepared environment with its services running."""

    settings: Settings
    api: AirflowApi
    data: str

    def digest(self, contender: Contender, day: date) -> str:
        """Digest of the predictions that a contender wrote for a day: ids, risks, decisions.

        Raises:
            RuntimeError: If another DAG wrote them: this contender has published nothing.
        """
        from zenml_mlops.data.partitions import PartitionStore

        location = self.settings.storage.predictions
        root = self.settings.resolve(f"{PLAIN_ROOT}/{location}" if contender.plain else location)
        store = PartitionStore(root)
        writer = store.manifest(day)
        if writer["dag_id"] != contender.dag_id:
            raise RuntimeError(f"{contender.name} left the predictions of {day} to {writer['dag_id']}.")
        frame = store.read(day, ["encounter_id", "risk", "decision"]).sort_values("encounter_id")
        return hashlib.sha256(frame.to_csv(index=False).encode()).hexdigest()


def isolate(state: Path) -> None:
    """Point this process and its children at a state folder and ports of their own.

    Must run before Airflow is imported.
    """
    for name in list(os.environ):
        if name.startswith(("AIRFLOW", "MLFLOW_", "MLOPS_", "ZENML_")):
            del os.environ[name]
    os.environ |= {
        "MLOPS_STATE_DIR": str(state),
        "MLOPS_DAGS_DIR": str(ROOT / "benchmarks" / "dags"),
        "MLOPS_AIRFLOW_PORT": str(_free_port()),
        "MLOPS_MLFLOW_PORT": str(_free_port()),
    }
    from zenml_mlops.environment.process import enter

    enter(None)


@contextmanager
def state_folder(keep: Path | None = None) -> Iterator[Path]:
    """A temporary state folder, or a named one that stays for the next time."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix="mlops-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def arena(contenders: list[Contender], progress: Progress) -> Iterator[Arena]:
    """Prepare the state folder that :func:`isolate` named, start the services, stop them at the end."""
    from zenml_airflow.settings.project import load_settings
    from zenml_mlops.airflow_api.api import AirflowApi
    from zenml_mlops.local import services

    settings = load_settings()
    data = _prepare(settings, progress)
    # What a killed benchmark left running in a kept folder listens on other ports.
    services.stop(settings, progress)
    # An Airflow that knows no earlier run: each day runs once a DAG, on an empty database.
    shutil.rmtree(settings.state_dir / "airflow", ignore_errors=True)
    try:
        services.start(settings, progress)
        api = AirflowApi(settings)
        for one in contenders:
            api.wait_for_dag(one.dag_id)
            api.unpause(one.dag_id)
        yield Arena(settings, api, data)
    finally:
        services.stop(settings, progress)


def _prepare(settings: Settings, progress: Progress) -> str:
    """Data, training, promotion, deployment; done once a state folder. Says which data it is."""
    real = Path(os.environ.get(DATA_ENV, REAL_DATA))
    source = str(real) if real.is_file() else "synthetic"
    told = "UCI Diabetes 130-US hospitals" if real.is_file() else "synthetic encounters"
    done = settings.state_dir / "bench.json"
    if not done.is_file():
        last = FIRST_DAY + timedelta(days=DAYS - 1)
        _command(progress, "fetch the data", "zenml_mlops.cli.app", "data", "fetch", "--source", source)
        _command(
            progress,
            "feed the days",
            "zenml_mlops.cli.app",
            "data",
            "feed",
            "--from",
            str(FIRST_DAY),
            "--to",
            str(last),
        )
        _command(progress, "train a model", "zenml_mlops.cli.app", "run", "training")
        _command(
            progress, "promote it", "zenml_mlops.cli.app", "promote", settings.pipelines["training"]["model_name"]
        )
    _command(progress, "deploy", "zenml_mlops.cli.app", "deploy")
    if not done.is_file():
        _command(progress, "compile for the stock orchestrator", "benchmarks.prepare")
    return told


def _command(progress: Progress, what: str, module: str, *arguments: str) -> None:
    started = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise RuntimeError(f"Could not {what}: {(result.stderr or result.stdout)[-2000:]}")
    progress(f"{what}: {time.monotonic() - started:.0f} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def rows_of(settings: Settings, day: date) -> int:
    """Rows in the landing partition of a day."""
    from zenml_mlops.data.landing import MARKER

    marker = Path(settings.resolve(settings.storage.landing), f"date={day}", MARKER)
    return int(json.loads(marker.read_text(encoding="utf-8"))["rows"])
