"""Daily input partitions: find one, check that it is complete, stream it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Final

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zenml_airflow.contracts.frozen import Frozen
from zenml_airflow.contracts.problems import describe
from zenml_mlops.data.contract import Contract
from zenml_mlops.data.partitions import file_sha256
from zenml_mlops.data.rows import SchemaBrokenError, arrow_schema, check_file_schema

MARKER: Final = "_SUCCESS"
_READ_BUFFER: Final = 1 << 20


class IncompletePartitionError(RuntimeError):
    """A day's partition is missing, unfinished, or not what its marker says."""


class Marker(BaseModel):
    """What a producer writes last, as JSON in ``_SUCCESS``.

    Attributes:
        rows: Rows in all files of the partition.
        files: sha256 of each Parquet file, by name.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    rows: int = Field(ge=0)
    files: dict[str, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]] = Field(min_length=1)


class PartitionRef(Frozen):
    """A complete input partition: small enough to hand from step to step.

    Attributes:
        location: Folder of the partition below the storage root, or a URL.
        files: sha256 of each Parquet file, by name, in the order in which they are read.
        rows_by_file: Rows of each file, so that a row's number tells its file when that is gone.
    """

    day: date
    location: str
    rows: int
    files: dict[str, str]
    rows_by_file: dict[str, int] = {}


def find_partition(day: date, location: str, resolved: str, contract: Contract) -> PartitionRef:
    """Find a day's partition and check marker, digests, columns and row count.

    Args:
        location: Root of the partitions, as configured.
        resolved: The same, resolved to a path or URL.

    Raises:
        IncompletePartitionError: If something is missing or does not match the marker.
        SchemaBrokenError: If a file is unreadable, lacks a column or has another type.
    """
    place = f"{location.rstrip('/')}/date={day.isoformat()}"
    fs, folder = _folder(day, resolved)
    # A cached listing of an object store would hide what the producer wrote since.
    fs.invalidate_cache(folder)
    marker = _marker(fs, folder, place)
    present = {path.rsplit("/", 1)[-1] for path in fs.ls(folder, detail=False) if path.endswith(".parquet")}
    if present != set(marker.files):
        raise IncompletePartitionError(
            f"{place} holds the files {sorted(present)}, its marker names {sorted(marker.files)}: the producer "
            "must deliver the day again."
        )
    files = dict(sorted(marker.files.items()))
    partition = PartitionRef(day=day, location=place, rows=marker.rows, files=files)
    check_digests(partition, resolved)
    counts = {}
    for name in partition.files:
        with fs.open(f"{folder}/{name}", "rb") as source:
            try:
                footer = pq.ParquetFile(source)
            except pa.ArrowInvalid as error:
                raise SchemaBrokenError(f"{place}/{name} is not a readable Parquet file: {error}") from error
            check_file_schema(footer.schema_arrow, contract, f"{place}/{name}")
            counts[name] = footer.metadata.num_rows
    rows = sum(counts.values())
    if rows != marker.rows:
        raise IncompletePartitionError(
            f"{place} holds {rows} rows, its marker says {marker.rows}: the producer must deliver the day again."
        )
    return partition.model_copy(update={"rows_by_file": counts})


def check_digests(partition: PartitionRef, resolved: str) -> None:
    """Check that the files are the ones that the marker described.

    Called before the files are read and again after, so that a delivery in between is noticed.

    Raises:
        IncompletePartitionError: If a digest differs or a file is gone.
    """
    fs, folder = _folder(partition.day, resolved)
    for name, expected in partition.files.items():
        found = file_sha256(fs, f"{folder}/{name}") if fs.exists(f"{folder}/{name}") else "none: it is gone"
        if found != expected:
            raise IncompletePartitionError(
                f"{partition.location}/{name} has the sha256 {found}; the marker says {expected}. It is "
                "unfinished, damaged, or was delivered again meanwhile. Run the day again once the producer "
                "has finished."
            )


def stream(
    partition: PartitionRef,
    resolved: str,
    contract: Contract,
    batch_rows: int,
    span: tuple[int, int] | None = None,
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Read a partition, or a span of its rows, in record batches; memory does not grow with its size.

    Args:
        resolved: Root of the partitions, resolved.
        batch_rows: Rows in memory at once.
        span: First row and the row after the last; all rows by default. Row groups outside of it are not read.

    Yields:
        The number of the batch's first row within the partition, and at most ``batch_rows`` rows with the
        columns and types of the contract.
    """
    fs, folder = _folder(partition.day, resolved)
    target = arrow_schema(contract.columns)
    first, end = span or (0, partition.rows)
    offset = 0
    for file in partition.files:
        with fs.open(f"{folder}/{file}", "rb") as source:
            # With a buffer size, column chunks are read piece by piece instead of a whole row group at once.
            parquet = pq.ParquetFile(source, buffer_size=_READ_BUFFER, pre_buffer=False)
            for group in range(parquet.metadata.num_row_groups):
                rows = parquet.metadata.row_group(group).num_rows
                if offset + rows <= first or offset >= end:
                    offset += rows
                    continue
                for batch in parquet.iter_batches(
                    batch_size=batch_rows, row_groups=[group], columns=target.names, use_threads=False
                ):
                    low, high = max(first - offset, 0), min(end - offset, batch.num_rows)
                    if low < high:
                        yield offset + low, batch.slice(low, high - low).select(target.names).cast(target)
                    offset += batch.num_rows


def _marker(fs: fsspec.AbstractFileSystem, folder: str, place: str) -> Marker:
    try:
        payload = fs.cat_file(f"{folder}/{MARKER}")
    except FileNotFoundError:
        raise IncompletePartitionError(
            f"{place} has no completion marker {MARKER}: the producer has not finished the day, or the date is "
            "wrong. Wait for it, or write the partition with `mlops data feed`."
        ) from None
    try:
        return Marker.model_validate_json(payload)
    except ValidationError as error:
        raise IncompletePartitionError(
            f"The marker {place}/{MARKER} must be JSON with 'rows' and the sha256 of each of 'files' "
            f"({describe(error, 'marker')}): the producer must deliver the day again."
        ) from error


def _folder(day: date, resolved: str) -> tuple[fsspec.AbstractFileSystem, str]:
    fs, root = fsspec.core.url_to_fs(resolved)
    return fs, f"{str(root).rstrip('/')}/date={day.isoformat()}"
