"""What the preparation hands to the contenders' DAG files and tasks, as one JSON file in the state folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_FILE = "bench.json"
PLAIN_ROOT = "plain"
"""Folder below the storage root in which the contenders without ZenML write."""


@dataclass(frozen=True)
class Facts:
    """What a contender needs to know beside the settings.

    Attributes:
        stock_snapshot: Snapshot of batch inference on the stock Airflow stack.
        stock_stack: That stack.
        steps: Its steps, in order.
        model: File of the production model, written with joblib.
        champion: The production version, as ``zenml_mlops.inference.champion.ScoringVersion`` in JSON.
        config: The configuration of batch inference in JSON.
    """

    stock_snapshot: str
    stock_stack: str
    steps: list[str]
    model: str
    champion: dict[str, Any]
    config: dict[str, Any]

    def write(self, state_dir: Path) -> None:
        """Write the facts for :meth:`read`."""
        (state_dir / _FILE).write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @classmethod
    def read(cls, state_dir: Path) -> Facts:
        """Read what the preparation wrote."""
        return cls(**json.loads((state_dir / _FILE).read_text(encoding="utf-8")))
