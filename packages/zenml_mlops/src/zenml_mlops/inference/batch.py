"""Scoring a day's partition: bad rows to quarantine, the others scored, batch by batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, Final, Self
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import AwareDatetime, ConfigDict

from zenml_airflow import Provenance
from zenml_airflow.contracts.frozen import Frozen
from zenml_mlops.data.contract import ColumnRule, Contract
from zenml_mlops.data.landing import PartitionRef, check_digests, stream
from zenml_mlops.data.partitions import PartitionManifest, PartitionStore, StoredFile
from zenml_mlops.data.rows import SeenIds, arrow_schema, check_rows
from zenml_mlops.inference.champion import ScoringVersion
from zenml_mlops.inference.scoring import score

ROW_NUMBER: Final = "row_number"
_PART: Final = "part-000.parquet"
_COMPRESSION: Final = "zstd"


class Decision(StrEnum):
    """What the threshold makes of a risk."""

    HIGH_RISK = "high_risk"
    LOW_RISK = "low_risk"


class RowsLostError(RuntimeError):
    """The rows that came out are not the rows that went in."""


class CheckedPartition(Frozen):
    """Result of the row checks.

    Attributes:
        reasons: Number of rows by reason; a row with two reasons counts under both.
        run_path: Folder of the run below the quarantine root.
        quarantine: File of the bad rows; it exists when there are none, too.
    """

    good: int
    quarantined: int
    reasons: dict[str, int]
    run_path: str
    quarantine: StoredFile


class ScoredPartition(Frozen):
    """Result of the scoring.

    Attributes:
        high_risk: Rows at or above the threshold.
        run_path: Folder of the run below the predictions root.
        files: Files of the predictions, in the order of the input.
    """

    rows: int
    high_risk: int
    run_id: str
    run_path: str
    files: tuple[StoredFile, ...]


class QuarantineManifest(PartitionManifest):
    """What a quarantine partition holds and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reasons: dict[str, int]
    published_at: AwareDatetime


class PredictionManifest(PartitionManifest):
    """What a predictions partition holds, and everything needed to trace it back.

    Manifests from before ``input_rows`` (rows of each input file) and ``input_location`` were recorded lack both.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    rows_in: int
    scored: int
    quarantined: int
    high_risk: int
    decision_threshold: float
    quarantine: StoredFile
    input_files: dict[str, str]
    input_rows: dict[str, int] = {}
    input_location: str | None = None
    model_name: str
    model_version: int
    model_version_id: UUID
    training_run_id: UUID | None
    scoring_run_id: str
    dag_id: str
    dag_run_id: str
    attempt: int
    logical_date: AwareDatetime
    environment: str
    provenance: Provenance
    published_at: AwareDatetime


class BatchSummary(Frozen):
    """One day in one line."""

    partition_date: date
    rows_in: int
    scored: int
    quarantined: int
    high_risk: int
    model_name: str
    model_version: int
    zenml_run_id: str
    dag_id: str
    dag_run_id: str
    manifest: str

    @classmethod
    def of(cls, manifest: PredictionManifest, location: str) -> Self:
        """Summarize a published manifest.

        Raises:
            RowsLostError: If its counts do not add up.
        """
        _add_up(manifest.rows_in, manifest.scored, manifest.quarantined, manifest.partition_date)
        fields = manifest.model_dump(include=set(cls.model_fields) - {"manifest"})
        return cls(**fields, manifest=location)


def prediction_schema(row_id: str) -> pa.Schema:
    """The row's id, what the model says of it, and who said so."""
    return pa.schema(
        [
            pa.field(row_id, pa.int64(), nullable=False),
            pa.field("risk", pa.float64(), nullable=False),
            pa.field("decision", pa.string(), nullable=False),
            pa.field("model_version", pa.int64(), nullable=False),
            pa.field("zenml_run_id", pa.string(), nullable=False),
            pa.field("scored_at", pa.timestamp("us", tz="UTC"), nullable=False),
        ]
    )


def quarantine_schema(columns: Sequence[ColumnRule]) -> pa.Schema:
    """The input columns, then where the row stood, what is wrong with it, and who said so."""
    extra = [
        pa.field(ROW_NUMBER, pa.int64()),
        pa.field("reasons", pa.string()),
        pa.field("explanation", pa.string()),
        pa.field("zenml_run_id", pa.string()),
        pa.field("quarantined_at", pa.timestamp("us", tz="UTC")),
    ]
    return pa.schema([*arrow_schema(columns), *extra])


def quarantine_bad_rows(
    partition: PartitionRef,
    contract: Contract,
    *,
    landing: str,
    store: PartitionStore,
    batch_rows: int,
    run_id: str,
) -> CheckedPartition:
    """Stream a partition and write its bad rows to the run's quarantine folder.

    Args:
        store: Where quarantine partitions lie.
        batch_rows: Rows in memory at once.

    Raises:
        IncompletePartitionError: If the files changed while they were read.
    """
    run_path = store.run_path(partition.day, run_id)
    path = f"{run_path}/{_PART}"
    now = datetime.now(UTC)
    seen, reasons, rows, bad_rows = SeenIds(), Counter[str](), 0, 0
    target = quarantine_schema(contract.columns)
    with store.open_new(path) as file, pq.ParquetWriter(file, target, compression=_COMPRESSION) as writer:
        for offset, batch in stream(partition, landing, contract, batch_rows):
            rows += batch.num_rows
            bad = check_rows(batch, contract, seen)
            if not bad:
                continue
            bad_rows += len(bad)
            chosen = sorted(bad)
            for row in chosen:
                reasons.update({complaint.reason.value for complaint in bad[row]})
            taken = batch.take(pa.array(chosen, pa.int64()))
            notes = [
                pa.array([offset + row for row in chosen], pa.int64()),
                pa.array([";".join(sorted({c.reason.value for c in bad[row]})) for row in chosen]),
                pa.array(["; ".join(c.text for c in bad[row]) for row in chosen]),
                pa.array([run_id] * len(chosen)),
                pa.array([now] * len(chosen), pa.timestamp("us", tz="UTC")),
            ]
            writer.write_batch(pa.RecordBatch.from_arrays([*taken.columns, *notes], schema=target))
    check_digests(partition, landing)
    return CheckedPartition(
        good=rows - bad_rows,
        quarantined=bad_rows,
        reasons=dict(sorted(reasons.items())),
        run_path=run_path,
        quarantine=store.stored(path, bad_rows),
    )


def rejected_rows(quarantine: PartitionStore, file: StoredFile) -> npt.NDArray[np.int64]:
    """Numbers of the rows in quarantine, in order: 8 bytes a bad row, all that grows with a partition.

    Raises:
        PartitionError: If the quarantine file is gone or damaged.
    """
    quarantine.check(file)
    return quarantine.column(file, ROW_NUMBER)


def score_good_rows(
    model: Any,
    partition: PartitionRef,
    champion: ScoringVersion,
    rejected: npt.NDArray[np.int64],
    *,
    landing: str,
    store: PartitionStore,
    path: str,
    batch_rows: int,
    threshold: float,
    run_id: str,
    span: tuple[int, int] | None = None,
) -> tuple[StoredFile, int]:
    """Stream a partition, or a span of its rows, leave out the rows in quarantine, and score the rest into a file.

    The row numbers of the quarantine decide what is left out, so a row is in exactly one of the two.

    Args:
        rejected: See :func:`rejected_rows`.
        path: The file, relative to the store's root.
        batch_rows: Rows in memory at once.
        threshold: A risk at or above it is a high-risk decision.
        span: First row and the row after the last; all rows by default.

    Returns:
        The file, and the number of its rows at or above the threshold.

    Raises:
        IncompletePartitionError: If the files changed while they were read.
    """
    now = datetime.now(UTC)
    rows = high_risk = 0
    row_id = champion.contract.row_id
    target = prediction_schema(row_id)
    with store.open_new(path) as file, pq.ParquetWriter(file, target, compression=_COMPRESSION) as writer:
        for offset, batch in stream(partition, landing, champion.contract, batch_rows, span):
            good = batch.filter(pa.array(_kept(rejected, offset, batch.num_rows)))
            risk = score(model, good.to_pandas())
            flagged = risk >= threshold
            columns = [
                good.column(row_id),
                pa.array(risk),
                pa.array(np.where(flagged, Decision.HIGH_RISK.value, Decision.LOW_RISK.value), pa.string()),
                pa.array([champion.version] * good.num_rows, pa.int64()),
                pa.array([run_id] * good.num_rows, pa.string()),
                pa.array([now] * good.num_rows, pa.timestamp("us", tz="UTC")),
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=target))
            rows += good.num_rows
            high_risk += int(flagged.sum())
    check_digests(partition, landing)
    return store.stored(path, rows), high_risk


def check_counts(partition: PartitionRef, checked: CheckedPartition, scored: ScoredPartition) -> None:
    """Check that every row is in predictions or quarantine, and in one of them only.

    Raises:
        RowsLostError: If not.
    """
    _add_up(partition.rows, scored.rows, checked.quarantined, partition.day)


def _add_up(rows_in: int, scored: int, quarantined: int, day: date) -> None:
    if rows_in != scored + quarantined:
        raise RowsLostError(
            f"{rows_in} rows came in for {day.isoformat()}, but {scored} are scored and {quarantined} in "
            "quarantine. Nothing is published; run the day again from its first step."
        )


def _kept(rejected: npt.NDArray[np.int64], offset: int, rows: int) -> npt.NDArray[np.bool_]:
    first, last = np.searchsorted(rejected, [offset, offset + rows])
    kept = np.ones(rows, dtype=bool)
    kept[rejected[first:last] - offset] = False
    return kept
