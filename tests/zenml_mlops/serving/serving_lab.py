"""What the tests of the service share: a quick training, rows of requests, a service on a socket."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
from fastapi import FastAPI
from labs.pipeline_workspace import Workspace, settings

from zenml_mlops.inference.config import BatchInferenceConfig
from zenml_mlops.serving.config import ServingConfig
from zenml_mlops.serving.server import Tls, build_server, listen, run
from zenml_pipelines.config import TrainingConfig
from zenml_pipelines.use_case.contract import CONTRACT
from zenml_pipelines.use_case.schema import ENCOUNTER_ID

MODEL = "served_model"
KEY = "0123456789abcdef0123456789abcdef"
TAKEN = {rule.name for rule in CONTRACT.columns if rule.feature} | {ENCOUNTER_ID}


def open_workspace(root: Path, csv: Path, model: str, trees: int = 10) -> Workspace:
    """Trains quickly, with the gates open: what is tested is not the model."""
    (root / "raw").mkdir(parents=True)
    shutil.copy(csv, root / "raw" / "diabetic_data.csv")
    config = TrainingConfig.from_settings(settings()).model_dump()
    config["model_name"] = model
    config["estimators"]["hist_gradient_boosting"] |= {"max_iter": trees}
    config["bootstrap"] |= {"resamples": 20}
    config["examination"]["stability"] |= {"rows": 1000, "folds": 2}
    config["data_gates"] = {"open": {"metric": "rows", "judge": "value", "minimum": 1, "why": "Any data."}}
    config["gates"] = {"open": {"metric": "roc_auc", "judge": "value", "minimum": 0.0, "why": "Any model."}}
    batch = BatchInferenceConfig.from_settings(settings()).model_copy(update={"model_name": model})
    return Workspace(root, TrainingConfig.model_validate(config), batch)


def to_row(record: dict[str, Any]) -> dict[str, Any]:
    """An encounter as a request has it: what the model reads, and what is missing left out."""
    return {
        name: int(value) if isinstance(value, int) else value
        for name, value in record.items()
        if name in TAKEN and not pd.isna(value)
    }


@contextmanager
def on_socket(app: FastAPI, config: ServingConfig, tls: Tls | None = None) -> Iterator[str]:
    """Run the service as `mlops serve` does, in a thread; yields its address."""
    with listen(config) as listener:
        server = build_server(app, config, tls)
        thread = threading.Thread(target=run, args=(server, listener))
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.01)
            assert server.started, "the service has not started"
            scheme = "http" if tls is None else "https"
            yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=60)
            assert not thread.is_alive()


def ask(base: str, rows: list[dict], key: str | None = None, **more: Any) -> httpx.Response:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return httpx.post(f"{base}/v1/score", json={"rows": rows}, headers=headers, timeout=30, **more)
