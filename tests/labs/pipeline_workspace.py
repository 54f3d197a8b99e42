"""What the tests of the pipelines share: settings, partitions, and a storage root to run in."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from labs import ROOT
from zenml_airflow import Provenance
from zenml_airflow.context import cli_context, run_context
from zenml_mlops.inference.config import BatchInferenceConfig
from zenml_pipelines.config import TrainingConfig

ROWS = 6_000


def settings() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "configs" / "base.yaml").read_text())


def land(folder: Path, day: date, frame: pd.DataFrame) -> Path:
    """Write a partition with the marker that the feed writes."""
    place = folder / f"date={day.isoformat()}"
    place.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    (place / "part-000.parquet").write_bytes(buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    (place / "_SUCCESS").write_text(json.dumps({"rows": len(frame), "files": {"part-000.parquet": digest}}))
    return place


@dataclass
class Workspace:
    """One storage root and the two configurations, with runs by plain calls."""

    root: Path
    training: TrainingConfig
    batch: BatchInferenceConfig

    # FAIL_FAST, so that the caller sees the error of the step and not a summary of names.
    def train(self, config: TrainingConfig | None = None, **params: Any) -> Any:
        from zenml.enums import ExecutionMode

        from zenml_pipelines.pipelines.training import training

        with run_context(
            cli_context(date(2026, 1, 4), environment="local", storage_root=str(self.root), params=params)
        ):
            return training.with_options(execution_mode=ExecutionMode.FAIL_FAST)(
                config=config or self.training, provenance=Provenance(commit="0" * 40)
            )

    def infer(self, day: date, config: BatchInferenceConfig | None = None, **params: Any) -> Any:
        from zenml.enums import ExecutionMode

        from zenml_pipelines.pipelines.batch_inference import batch_inference

        with run_context(cli_context(day, environment="local", storage_root=str(self.root), params=params)):
            return batch_inference.with_options(execution_mode=ExecutionMode.FAIL_FAST)(
                config=config or self.batch
            )

    @property
    def landing(self) -> Path:
        return self.root / self.batch.landing

    @property
    def predictions(self) -> str:
        return str(self.root / self.batch.predictions)

    @property
    def quarantine(self) -> str:
        return str(self.root / self.batch.quarantine)

    def moved(self, root: Path) -> Workspace:
        return Workspace(root, self.training, self.batch)
