"""Benchmark 7: what a request to the service takes, beside a bare ``predict_proba`` of the same rows.

The service runs in a process of its own. This one asks, over plain HTTP on loopback with connections that stay
open, and measures the bare calls between, so that both have the machine in the same minute.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks.arena import DATA_ENV, REAL_DATA, ROOT, Progress
from benchmarks.machine import measured_now
from benchmarks.serving_worker import MODEL_FILE

SCENARIOS = ((1, 1), (4, 1), (16, 1), (64, 1), (1, 100), (4, 100))
"""Clients at once, and rows in each of their requests."""
SECONDS = 5.0
"""Of each scenario in a round."""
BARE_CALLS = 60
QUICK_ROWS = 6_000
_BODIES = 50


def measure(
    n: int, *, quick: bool, progress: Progress, seconds: float = SECONDS, data: Path | None = None
) -> dict[str, Any]:
    """Train the configured model, serve it, and ask it.

    Args:
        n: Rounds that count, after one to warm up.
        quick: Whether the report should call the numbers quick.
        progress: Called with a line for each round.
        seconds: How long each scenario lasts in a round.
        data: Archive of the published encounters; generated ones are taken if it is not there.
    """
    archive = data or Path(os.environ.get(DATA_ENV, REAL_DATA))
    about = measured_now(n, quick=quick)
    with tempfile.TemporaryDirectory(prefix="serving-") as name:
        folder = Path(name)
        model, rows, told = _train(folder, archive)
        progress(f"trained on {told}")
        rounds = []
        with _service(folder) as port:
            for number in range(n + 1):
                found = _round(model, rows, port, seconds)
                which = "warm-up" if number == 0 else f"round {number} of {n}"
                bare, served = found["bare"]["1"], found["service"][0]["p50"]
                progress(f"{which}: one row {bare:.1f} ms bare, {served:.1f} ms by the service")
                if number:
                    rounds.append(found)
    return {**about, "data": told, "seconds": seconds, "rounds": rounds}


def _train(folder: Path, archive: Path) -> tuple[Any, Any, str]:
    """Fit the model as training does; returns it, the rows that it was not fitted on, and what they are."""
    import joblib
    import pandas as pd

    from zenml_airflow.settings.project import load_settings
    from zenml_mlops.data.holdout import training_rows
    from zenml_mlops.training.fitting import fit_model
    from zenml_mlops.training.splitting import split_in_time
    from zenml_pipelines.config import TrainingConfig
    from zenml_pipelines.model import build_model
    from zenml_pipelines.use_case.contract import CONTRACT
    from zenml_pipelines.use_case.schema import CSV_NAME, read_rows
    from zenml_pipelines.use_case.synthetic import generate

    csv = folder / CSV_NAME
    if archive.is_file():
        told = "UCI Diabetes 130-US hospitals"
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(folder / "unpacked")
        csv = next((folder / "unpacked").rglob(CSV_NAME))
    else:
        told = "synthetic encounters"
        pd.concat(generate(QUICK_ROWS, seed=7)).to_csv(csv, index=False, na_rep="?")
    config = TrainingConfig.from_settings(load_settings().model_dump())
    train, test = split_in_time(
        training_rows(read_rows(csv), CONTRACT.row_id, config.holdout_fraction), CONTRACT, config.test_fraction
    )
    model = build_model(config)
    fit_model(model, train[CONTRACT.features], CONTRACT.events(train))
    joblib.dump(model, folder / MODEL_FILE)
    return model, test, told


@contextmanager
def _service(folder: Path) -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.serving_worker", str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.strip().isdigit():
            process.kill()
            raise RuntimeError(f"The service has not started: {process.communicate()[1][-2000:]}")
        yield int(line)
    finally:
        process.terminate()
        process.communicate(timeout=60)


def _round(model: Any, rows: Any, port: int, seconds: float) -> dict[str, Any]:
    sizes = sorted({size for _, size in SCENARIOS})
    bodies = {size: _bodies(rows, size) for size in sizes}
    bare = {str(size): _bare(model, rows, size) for size in sizes}
    service = [_ask(port, clients, size, bodies[size], seconds) for clients, size in SCENARIOS]
    return {"bare": bare, "service": service}


def _bare(model: Any, rows: Any, size: int) -> float:
    """Median milliseconds of the model alone: a frame in memory, the thread limit set once."""
    from zenml_mlops.training.fitting import single_thread

    features = list(model.feature_names_in_)
    begins = [number % (len(rows) // size) * size for number in range(BARE_CALLS)]
    frames = [rows[features].iloc[begin : begin + size] for begin in begins]
    taken = []
    with single_thread():
        for frame in frames:
            begun = time.perf_counter()
            model.predict_proba(frame)
            taken.append((time.perf_counter() - begun) * 1000)
    return median(taken)


def _bodies(rows: Any, size: int) -> list[bytes]:
    """Bodies of requests, each of other encounters."""
    from zenml_pipelines.use_case.contract import CONTRACT
    from zenml_pipelines.use_case.schema import ENCOUNTER_ID

    columns = [ENCOUNTER_ID, *CONTRACT.features]
    count = min(_BODIES, len(rows) // size)
    records = json.loads(rows[columns].head(count * size).to_json(orient="records"))
    return [json.dumps({"rows": records[n * size : (n + 1) * size]}).encode() for n in range(count)]


def _ask(port: int, clients: int, size: int, bodies: list[bytes], seconds: float) -> dict[str, Any]:
    """Keep clients asking, each its next request as soon as the last is answered.

    Raises:
        RuntimeError: If a request fails.
    """
    taken: list[list[float]] = [[] for _ in range(clients)]
    failed: list[str] = []
    end = time.perf_counter() + seconds

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        turn = number
        while time.perf_counter() < end and not failed:
            begun = time.perf_counter()
            connection.request(
                "POST", "/v1/score", bodies[turn % len(bodies)], {"Content-Type": "application/json"}
            )
            answer = connection.getresponse()
            content = answer.read()
            taken[number].append((time.perf_counter() - begun) * 1000)
            if answer.status != 200:
                failed.append(f"{answer.status} {content[:200]!r}")
            turn += 1
        connection.close()

    begun = time.perf_counter()
    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall = time.perf_counter() - begun
    if failed:
        raise RuntimeError(f"The service refused a request: {failed[0]}")
    every = sorted(value for mine in taken for value in mine)
    return {
        "clients": clients,
        "rows": size,
        "requests": len(every),
        "p50": round(median(every), 3),
        "p99": round(quantiles(every, n=100)[-1], 3),
        "per_second": round(len(every) / wall, 2),
    }
