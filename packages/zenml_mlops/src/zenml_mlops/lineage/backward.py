"""From a case to its predictions, and from a prediction to the row of the file that it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.core import url_to_fs

from zenml_mlops.data.partitions import PartitionError, StoredFile, file_sha256
from zenml_mlops.lineage.partitions import Partition, Stores, TraceError, find_row, read_row

_QUARANTINE_COLUMNS = ("row_number", "reasons", "explanation", "zenml_run_id", "quarantined_at")


class Evidence(StrEnum):
    """What the files on disk say of a link."""

    CONFIRMED = "confirmed"
    GONE = "gone"
    CHANGED = "changed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class FoundRow:
    """A row of a case in the predictions, or in the quarantine that belongs to them.

    Attributes:
        row: Its number in the file, from 0.
        scored: Whether it was scored; ``False`` for a row in quarantine.
        source: Number of the row in the day's input, from 0; ``None`` if that can no longer be told.
    """

    partition: Partition
    file: StoredFile
    row: int
    values: dict[str, Any]
    scored: bool
    evidence: Evidence
    source: int | None


@dataclass(frozen=True)
class SourceRow:
    """The row of a landing file that another row was made from.

    Attributes:
        file: Name of the file; ``None`` if it can no longer be told which one.
        sha256: Digest of the file when it was read.
        row: Number of the row in the file, from 0.
        note: What is missing or different, in a sentence.
    """

    evidence: Evidence
    note: str | None = None
    file: str | None = None
    sha256: str | None = None
    row: int | None = None


def find_case(
    stores: Stores, case_id: int, day: date | None = None, *, replaced: bool = False, run: str | None = None
) -> list[FoundRow]:
    """Find every row of a case that was scored or put into quarantine.

    Args:
        replaced: Also in partitions that a later run of their day replaced.
        run: Only rows that this ZenML run wrote.

    Raises:
        TraceError: If there is none; the message says where was looked.
        PartitionError: If a file that had to be looked into is gone.
    """
    days = stores.days(day)
    found = [
        row
        for partition in stores.partitions(days, replaced=replaced)
        for row in _rows_in(stores, partition, case_id)
        if run is None or row.values.get("zenml_run_id") == run
    ]
    if not found:
        where = f"of {day}" if day else f"of {len(days)} days, {days[0]} to {days[-1]}"
        more = "" if replaced else "; --all also searches replaced partitions"
        by = f" by run {run}" if run else ""
        raise TraceError(
            f"{stores.contract.case.capitalize()} {case_id} is neither among the predictions{by} {where} nor in "
            f"quarantine{more}."
        )
    return found


def source_of(stores: Stores, found: FoundRow) -> SourceRow:
    """The row of the landing file that a row was made from, compared with what stands there now."""
    manifest = found.partition.manifest
    if found.source is None:
        return SourceRow(Evidence.UNKNOWN, "the quarantine file that tells the row numbers is gone or changed")
    name, row = _file_of(manifest.input_files, manifest.input_rows, found.source)
    if name is None or row is None:
        return SourceRow(Evidence.UNKNOWN, "the manifest does not say how many rows each input file had")
    sha256, case_id = manifest.input_files[name], found.values[stores.contract.row_id]
    evidence, note = _compare(stores, found.partition.day, name, sha256, row, case_id)
    return SourceRow(evidence, note, name, sha256, row)


def _rows_in(stores: Stores, partition: Partition, case_id: int) -> list[FoundRow]:
    store, found, before = stores.predictions, [], 0
    for file in partition.manifest.files:
        if not store.fs.exists(store.absolute(file.path)):
            raise PartitionError(f"{file.path} of the predictions is gone, so whether it held the row is unknown.")
        row = find_row(store, file, stores.contract.row_id, case_id)
        if row is not None:
            values = read_row(store, file, row, frozenset())
            source = _source_number(stores, partition, before + row)
            evidence = _unchanged(store, file)
            found.append(FoundRow(partition, file, row, values, True, evidence, source))
        before += file.rows
    return [*found, *_refused(stores, partition, case_id)]


def _refused(stores: Stores, partition: Partition, case_id: int) -> list[FoundRow]:
    file = partition.manifest.quarantine
    if not file.rows or not stores.quarantine.fs.exists(stores.quarantine.absolute(file.path)):
        return []
    row_id = stores.contract.row_id
    with stores.quarantine.fs.open(stores.quarantine.absolute(file.path), "rb") as source:
        table = pq.read_table(source, columns=[row_id, *_QUARANTINE_COLUMNS], use_threads=False)
    rows = np.flatnonzero(np.asarray(table.column(row_id).to_pandas() == case_id))
    evidence = _unchanged(stores.quarantine, file)
    values = [table.slice(int(row), 1).to_pylist()[0] for row in rows]
    return [
        FoundRow(partition, file, int(row), one, False, evidence, int(one["row_number"]))
        for row, one in zip(rows, values, strict=True)
    ]


def _source_number(stores: Stores, partition: Partition, position: int) -> int | None:
    """Number of the input's row that the n-th prediction was made from: those in quarantine were left out."""
    try:
        rejected = stores.rejected(partition.manifest)
    except PartitionError:
        return None
    kept_before = rejected - np.arange(len(rejected))
    return position + int(np.searchsorted(kept_before, position, side="right"))


def _unchanged(store: Any, file: StoredFile) -> Evidence:
    found = file_sha256(store.fs, store.absolute(file.path))
    return Evidence.CONFIRMED if found == file.sha256 else Evidence.CHANGED


def _file_of(files: dict[str, str], rows: dict[str, int], number: int) -> tuple[str | None, int | None]:
    if len(files) == 1:
        return next(iter(files)), number
    start = 0
    for name in files:
        if name not in rows:
            return None, None
        if number < start + rows[name]:
            return name, number - start
        start += rows[name]
    return None, None


def _compare(
    stores: Stores, day: date, name: str, sha256: str, row: int, case_id: int
) -> tuple[Evidence, str | None]:
    fs, root = url_to_fs(stores.landing, use_listings_cache=False)
    path = f"{str(root).rstrip('/')}/date={day.isoformat()}/{name}"
    if not fs.exists(path):
        return Evidence.GONE, "the file is gone from the landing zone"
    found = file_sha256(fs, path)
    if found != sha256:
        return Evidence.CHANGED, f"another file is there now, with sha256 {found}"
    with fs.open(path, "rb") as source:
        try:
            ids = pq.read_table(source, columns=[stores.contract.row_id], use_threads=False).column(0)
        except pa.ArrowInvalid:
            return Evidence.CHANGED, "the file cannot be read"
    if row >= len(ids) or ids[row].as_py() != case_id:
        return Evidence.CHANGED, f"row {row} of the file is another {stores.contract.case}"
    return Evidence.CONFIRMED, None
