"""Replay the held-out rows as the daily partitions that a supplier would deliver.

The source has no dates, so days are assigned: held-out rows, in the order of their ids, fill days of
seeded volumes from the configured start. A day's rows depend on the data and the configuration alone, never
on which range was fed before, so that a backfill and a daily run see the same partition.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import fsspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from zenml_mlops.data.config import DataConfig, FeedConfig
from zenml_mlops.data.contract import Contract
from zenml_mlops.data.errors import DataError
from zenml_mlops.data.fetch import require_source
from zenml_mlops.data.files import temporary_file
from zenml_mlops.data.holdout import feed_rows
from zenml_mlops.data.rows import arrow_schema
from zenml_mlops.data.use_case import UseCase

DATA_NAME: Final = "part-000.parquet"
MARKER_NAME: Final = "_SUCCESS"


class FeedStatus(StrEnum):
    """What feeding a day came to."""

    WRITTEN = "written"
    PRESENT = "already there"
    REDONE = "rewritten, it was incomplete"
    REPLACED = "replaced"


@dataclass(frozen=True)
class FedPartition:
    """One day in the landing zone.

    Attributes:
        path: Its folder, as a path or URL.
    """

    day: date
    rows: int
    path: str
    status: FeedStatus


@dataclass(frozen=True)
class Replay:
    """The held-out rows, and after how many of them each day ends."""

    contract: Contract
    rows: pd.DataFrame
    ends: npt.NDArray[np.int64]
    start: date
    source: str

    @property
    def last_day(self) -> date:
        """The day of the last row."""
        return self.start + timedelta(days=len(self.ends) - 1)

    def day_rows(self, day: date) -> pd.DataFrame:
        """A day's rows, without what became of them."""
        return self.labelled_rows(day).drop(columns=self.contract.label)

    def labelled_rows(self, day: date) -> pd.DataFrame:
        """A day's rows with their label."""
        number = (day - self.start).days
        return self.rows.iloc[int(self.ends[number - 1]) if number else 0 : int(self.ends[number])]


@dataclass(frozen=True)
class Landing:
    """The landing zone on whatever file system it lies."""

    fs: Any
    root: str

    def folder(self, day: date) -> str:
        """Folder of a day on the file system."""
        return f"{self.root.rstrip('/')}/date={day.isoformat()}"

    def address(self, day: date) -> str:
        """Folder of a day as a path or URL."""
        folder = self.folder(day)
        return folder if isinstance(self.fs, LocalFileSystem) else str(self.fs.unstrip_protocol(folder))

    def read(self, path: str) -> bytes | None:
        """Content of a file; ``None`` if there is none."""
        return bytes(self.fs.cat_file(path)) if self.fs.isfile(path) else None

    def put(self, path: str, content: bytes) -> None:
        """Write a file so that readers see all of it or nothing; object stores do that by themselves."""
        if not isinstance(self.fs, LocalFileSystem):
            self.fs.pipe_file(path, content)
            return
        target = Path(path)
        with temporary_file(target.parent, target.name) as temporary:
            temporary.write_bytes(content)
            temporary.replace(target)

    def deliver(self, day: date, content: bytes, described: dict[str, Any]) -> None:
        """Write a day's partition anew: its file, then its marker, what is described and the file's digest."""
        folder = self.folder(day)
        self.clear(folder)
        self.fs.makedirs(folder, exist_ok=True)
        self.put(f"{folder}/{DATA_NAME}", content)
        marker = described | {"files": {DATA_NAME: hashlib.sha256(content).hexdigest()}}
        self.put(f"{folder}/{MARKER_NAME}", (json.dumps(marker, indent=2, sort_keys=True) + "\n").encode())

    def clear(self, folder: str) -> None:
        """Empty a partition, the marker first: without it, no reader takes the rest for complete."""
        marker = f"{folder}/{MARKER_NAME}"
        if self.fs.exists(marker):
            self.fs.rm_file(marker)
        if self.fs.exists(folder):
            self.fs.rm(folder, recursive=True)


def daily_ends(total: int, config: FeedConfig) -> npt.NDArray[np.int64]:
    """Return after how many rows each day ends, for as many days as ``total`` rows fill.

    Daily volumes are Poisson with mean ``per_day``, at least 1; the last day takes what is left.
    """
    if total == 0:
        return np.zeros(0, dtype="int64")
    volumes = np.random.default_rng(config.seed).poisson(config.per_day, size=total).clip(min=1)
    ends = np.minimum(np.cumsum(volumes), total)
    return np.asarray(ends[: int(np.argmax(ends == total)) + 1], dtype="int64")


def feed(
    first_day: date,
    last_day: date,
    *,
    raw_dir: Path,
    landing: str,
    config: DataConfig,
    use_case: UseCase,
    force: bool = False,
    on_day: Callable[[FedPartition], object] | None = None,
) -> list[FedPartition]:
    """Write the partitions of a date range, ``<landing>/date=YYYY-MM-DD/``.

    A partition is complete when its ``_SUCCESS`` marker is there: JSON with the number of rows, the first and
    last row, the digest of the data file and of the source. The range is checked as a whole before the
    first write.

    Args:
        force: Replace complete partitions that hold something else.

    Returns:
        One entry per day, in order.

    Raises:
        DataError: If the range is empty or not covered, the source data was not fetched, or a complete
            partition exists with other content and ``force`` is not set.
    """
    played = replay(raw_dir, config, use_case)
    check_range(first_day, last_day, played)
    days = [first_day + timedelta(days=number) for number in range((last_day - first_day).days + 1)]
    zone = Landing(*fsspec.core.url_to_fs(landing))
    zone.fs.invalidate_cache()
    plan = {day: _status(zone, day, played) for day in days}
    foreign = [day.isoformat() for day, status in plan.items() if status is FeedStatus.REPLACED]
    if foreign and not force:
        raise DataError(
            f"{len(foreign)} of {len(days)} partitions are complete but hold other data than the fetched "
            f"source ({', '.join(foreign[:7])}{', …' if len(foreign) > 7 else ''}): another source was fed, "
            "or they were changed. Nothing was written. Replace them with --force."
        )
    fed = []
    for day, status in plan.items():
        rows = played.day_rows(day)
        if status is not FeedStatus.PRESENT:
            zone.deliver(day, _parquet(rows, played.contract), _marker(rows, played))
        fed.append(FedPartition(day, len(rows), zone.address(day), status))
        if on_day is not None:
            on_day(fed[-1])
    return fed


def replay(raw_dir: Path, config: DataConfig, use_case: UseCase) -> Replay:
    """The held-out rows and their days.

    Raises:
        DataError: If the source data was not fetched.
    """
    source = require_source(raw_dir, use_case)
    rows = use_case.load_source().read(raw_dir / use_case.source_file)
    rows = feed_rows(rows, use_case.contract.row_id, config.holdout_fraction)
    ends = daily_ends(len(rows), config.feed)
    return Replay(use_case.contract, rows, ends, config.feed.start_date, source.sha256)


def check_range(first_day: date, last_day: date, replay: Replay) -> None:
    """Check that a range of days is one, and is replayed.

    Raises:
        DataError: If not.
    """
    if first_day > last_day:
        raise DataError(f"The first day {first_day} lies after the last day {last_day}; swap them.")
    if first_day < replay.start:
        raise DataError(
            f"{first_day} lies before the first replayed day {replay.start} (data.feed.start_date): begin there."
        )
    if last_day > replay.last_day:
        raise DataError(
            f"There are no rows left for {last_day}: the last replayed day is {replay.last_day}. "
            "End there, or lower data.feed.per_day to spread them over more days."
        )


def _marker(rows: pd.DataFrame, replay: Replay) -> dict[str, Any]:
    """Return what identifies a day's content, whichever library version encoded it."""
    ids = rows[replay.contract.row_id]
    return {
        "rows": len(rows),
        "first_row_id": int(ids.iloc[0]),
        "last_row_id": int(ids.iloc[-1]),
        "source_sha256": replay.source,
    }


def _status(zone: Landing, day: date, replay: Replay) -> FeedStatus:
    folder = zone.folder(day)
    marker = zone.read(f"{folder}/{MARKER_NAME}")
    if marker is None:
        return FeedStatus.REDONE if zone.fs.exists(folder) and zone.fs.ls(folder) else FeedStatus.WRITTEN
    try:
        found = json.loads(marker)
        files = found.pop("files")
    except (ValueError, AttributeError, KeyError, TypeError):
        return FeedStatus.REPLACED
    content = zone.read(f"{folder}/{DATA_NAME}")
    intact = content is not None and files == {DATA_NAME: hashlib.sha256(content).hexdigest()}
    if intact and found == _marker(replay.day_rows(day), replay):
        return FeedStatus.PRESENT
    return FeedStatus.REPLACED


def _parquet(rows: pd.DataFrame, contract: Contract) -> bytes:
    table = pa.Table.from_pandas(rows, schema=arrow_schema(contract.columns), preserve_index=False)
    buffer = io.BytesIO()
    # The pandas metadata names library versions, which would make equal rows unequal files.
    pq.write_table(table.replace_schema_metadata(None), buffer, compression="zstd")
    return buffer.getvalue()
