"""Three scored days to trace: one of two files with bad rows, one that was scored twice, one of held-out rows."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from labs.pipeline_workspace import Workspace
from zenml_airflow.settings.project import Settings, load_settings
from zenml_mlops.lineage.partitions import Stores
from zenml_mlops.lineage.tracing import stores_of
from zenml_pipelines.use_case.contract import CONTRACT

TWO_FILES, TWICE, HELD_OUT = date(2026, 1, 5), date(2026, 1, 6), date(2026, 1, 7)
FIRST, SECOND = "part-000.parquet", "part-001.parquet"


@dataclass(frozen=True)
class Traced:
    """What was landed and scored.

    Attributes:
        files: What each landing file held, by day and name, as it was scored last.
        replaced_run: The first run of the day that was scored twice.
    """

    settings: Settings
    files: dict[tuple[date, str], pd.DataFrame]
    replaced_run: str
    replaced_ids: list[int]

    @property
    def stores(self) -> Stores:
        return stores_of(self.settings)

    def place(self, day: date, name: str = FIRST) -> Path:
        return Path(self.stores.landing) / f"date={day}" / name


def land_files(folder: Path, day: date, frames: dict[str, pd.DataFrame]) -> None:
    place = folder / f"date={day}"
    place.mkdir(parents=True, exist_ok=True)
    digests = {}
    for name, frame in frames.items():
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        (place / name).write_bytes(buffer.getvalue())
        digests[name] = hashlib.sha256(buffer.getvalue()).hexdigest()
    marker = {"rows": sum(map(len, frames.values())), "files": digests}
    (place / "_SUCCESS").write_text(json.dumps(marker))


def settings_at(root: Path) -> Settings:
    """The local settings with everything below a folder."""
    return load_settings("local").model_copy(update={"state_dir": root})


def score_days(space: Workspace, generated: pd.DataFrame) -> Traced:
    rows = generated.loc[CONTRACT.in_scope(generated)].drop(columns="readmitted")
    rows = rows.sort_values("encounter_id").reset_index(drop=True)
    mixed = pd.concat([rows.iloc[:40], rows.iloc[-400:-360]]).sample(frac=1, random_state=3).reset_index(drop=True)
    first, second = mixed.iloc[:50].copy(), mixed.iloc[50:].copy()
    first.loc[first.index[[0, 7, 8]], "gender"] = "Robot"
    second.loc[second.index[[4]], "gender"] = "Robot"
    files = {(TWO_FILES, FIRST): first, (TWO_FILES, SECOND): second}
    land_files(space.landing, TWO_FILES, {FIRST: first, SECOND: second})
    space.infer(TWO_FILES)
    before = rows.iloc[100:130]
    land_files(space.landing, TWICE, {FIRST: before})
    replaced = space.infer(TWICE)
    files[TWICE, FIRST] = rows.iloc[110:140]
    land_files(space.landing, TWICE, {FIRST: files[TWICE, FIRST]})
    space.infer(TWICE)
    files[HELD_OUT, FIRST] = rows.iloc[-30:]
    land_files(space.landing, HELD_OUT, {FIRST: files[HELD_OUT, FIRST]})
    space.infer(HELD_OUT)
    ids = before["encounter_id"].tolist()
    return Traced(settings_at(space.root), files, str(replaced.id), ids)


def good_ids(frame: pd.DataFrame) -> list[int]:
    return frame.loc[frame["gender"] != "Robot", "encounter_id"].tolist()


def nodes(tree: Any, kind: str) -> list[Any]:
    return [node for node in tree.walk() if node.kind.value == kind]
