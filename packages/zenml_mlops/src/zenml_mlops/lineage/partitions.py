"""The partitions of predictions that are current, or were once, and how their rows answer to the input's rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from pydantic import ValidationError

from zenml_mlops.data.contract import Contract
from zenml_mlops.data.partitions import PartitionError, PartitionStore, StoredFile
from zenml_mlops.inference.batch import PredictionManifest, rejected_rows


class TraceError(ValueError):
    """Nothing is found under what was asked for. The message says what there is."""


@dataclass(frozen=True)
class Partition:
    """A partition of predictions.

    Attributes:
        current: Whether it is the day's partition; ``False`` once another run replaced it.
    """

    manifest: PredictionManifest
    current: bool

    @property
    def day(self) -> date:
        """Its day."""
        return self.manifest.partition_date


@dataclass(frozen=True)
class Stores:
    """Where the partitions lie.

    Attributes:
        quarantine: The rows that were not scored.
        location: The landing zone as configured, as messages name it.
    """

    predictions: PartitionStore
    quarantine: PartitionStore
    landing: str
    location: str
    contract: Contract

    def days(self, day: date | None = None) -> list[date]:
        """The days with predictions, or the one that is asked for.

        Raises:
            TraceError: If there are none.
        """
        known = self.predictions.days()
        if not known:
            raise TraceError(f"There are no predictions below {self.predictions.root}: run batch_inference first.")
        if day is None:
            return known
        if day not in known:
            raise TraceError(
                f"There are no predictions of {day.isoformat()}: they begin on {known[0]} and end on {known[-1]}."
            )
        return [day]

    def partitions(self, days: Iterable[date], *, replaced: bool) -> Iterator[Partition]:
        """The partitions of some days, the current one of a day first, then the latest that it replaced.

        Raises:
            PartitionError: If a manifest cannot be read: what is below it cannot be told then.
        """
        for day in days:
            current = None
            try:
                current = _parsed(self.predictions.manifest(day))
                yield Partition(current, current=True)
            except PartitionError:
                if not replaced:
                    continue
            if replaced:
                for content in reversed(self.predictions.history(day)):
                    manifest = _parsed(content)
                    if manifest != current:
                        yield Partition(manifest, current=False)

    def rejected(self, manifest: PredictionManifest) -> npt.NDArray[np.int64]:
        """Numbers of the input's rows that went to quarantine, in order.

        Raises:
            PartitionError: If the quarantine file is gone or damaged.
        """
        return rejected_rows(self.quarantine, manifest.quarantine)


def find_row(store: PartitionStore, file: StoredFile, row_id: str, case_id: int) -> int | None:
    """Number of the row of a case in a file.

    Only row groups whose statistics allow it are read, and of them only the column of the ids.
    """
    with store.fs.open(store.absolute(file.path), "rb") as source:
        parquet = pq.ParquetFile(source)
        column = parquet.schema_arrow.get_field_index(row_id)
        start = 0
        for number in range(parquet.metadata.num_row_groups):
            group = parquet.metadata.row_group(number)
            statistics = group.column(column).statistics
            bounded = statistics is not None and statistics.has_min_max
            if not bounded or statistics.min <= case_id <= statistics.max:
                ids = parquet.read_row_group(number, columns=[row_id], use_threads=False).column(0).to_numpy()
                found = np.flatnonzero(ids == case_id)
                if len(found):
                    return start + int(found[0])
            start += group.num_rows
    return None


def read_row(store: PartitionStore, file: StoredFile, row: int, leave_out: frozenset[str]) -> dict[str, Any]:
    """One row of a file, without some columns."""
    with store.fs.open(store.absolute(file.path), "rb") as source:
        parquet = pq.ParquetFile(source)
        names = [name for name in parquet.schema_arrow.names if name not in leave_out]
        start = 0
        for number in range(parquet.metadata.num_row_groups):
            rows = parquet.metadata.row_group(number).num_rows
            if row < start + rows:
                table = parquet.read_row_group(number, columns=names, use_threads=False)
                found: dict[str, Any] = table.slice(row - start, 1).to_pylist()[0]
                return found
            start += rows
    raise PartitionError(f"{file.path} has {start} rows, so no row {row}.")


def _parsed(content: dict[str, Any]) -> PredictionManifest:
    try:
        return PredictionManifest.model_validate(content)
    except ValidationError as error:
        day = content.get("partition_date", "an unknown day")
        problem = error.errors()[0]
        raise DamagedManifestError(
            f"A manifest of the predictions of {day} breaks its schema "
            f"({'.'.join(map(str, problem['loc']))}: {problem['msg']}): it was changed, or another version of the "
            "project wrote it. Run the day again."
        ) from error


class DamagedManifestError(TraceError):
    """A manifest is not one that this project writes."""
