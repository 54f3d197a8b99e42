"""Scoring a day in shards: spans of its rows, each scored by itself, on any worker and in any order.

A shard leaves a file and a receipt below the folder of the run that validated the day, where no reader looks::

    _runs/date=2026-01-05/<validating run>/_shards/003-<scoring run>-1a2b3c4d.parquet
    _runs/date=2026-01-05/<validating run>/_shards/003.json

The receipt is written last and replaced as a whole, so a shard that is tried again, or cleared long after the day
was published, touches no other shard and no published file. Whoever gathers the shards copies them into a run of
its own, and scores itself those that have left no receipt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from zenml_airflow.contracts.frozen import Frozen
from zenml_mlops.data.landing import PartitionRef
from zenml_mlops.data.partitions import SHARDS, PartitionStore, StoredFile
from zenml_mlops.inference.batch import CheckedPartition, ScoredPartition, rejected_rows, score_good_rows
from zenml_mlops.inference.champion import ScoringVersion


class ShardReceipt(Frozen):
    """What scoring a shard came to.

    Attributes:
        span: First row and the row after the last.
        input_files: sha256 of the input files.
        high_risk: Rows at or above the threshold.
    """

    span: tuple[int, int]
    model_version_id: str
    input_files: dict[str, str]
    high_risk: int
    threshold: float
    file: StoredFile


@dataclass(frozen=True)
class DayScoring:
    """The scoring of one day, as every shard of it does it.

    Attributes:
        model: Returns the model; called when rows are scored.
        spans: Span of rows of each shard, see ``ShardRules.spans``.
    """

    model: Callable[[], Any]
    partition: PartitionRef
    champion: ScoringVersion
    checked: CheckedPartition
    landing: str
    quarantine: PartitionStore
    store: PartitionStore
    batch_rows: int
    threshold: float
    run_id: str
    spans: Sequence[tuple[int, int]]

    def score_shard(self, number: int) -> ShardReceipt:
        """Score one shard and leave its receipt.

        Raises:
            PartitionError: If the run's quarantine file is gone or damaged.
            IncompletePartitionError: If the input changed since it was validated.
        """
        path = f"{self._folder}/{number:03d}-{self.run_id}-{uuid4().hex[:8]}.parquet"
        file, high_risk = self._score(path, self.spans[number])
        receipt = ShardReceipt(
            span=self.spans[number],
            model_version_id=str(self.champion.version_id),
            input_files=self.partition.files,
            high_risk=high_risk,
            threshold=self.threshold,
            file=file,
        )
        self.store.put(f"{self._folder}/{number:03d}.json", receipt.model_dump_json().encode())
        return receipt

    def gather(self) -> ScoredPartition:
        """Copy what the shards wrote into the run's own folder, and score the rest.

        Raises:
            PartitionError: If a file of a shard or of the quarantine is gone or damaged.
            IncompletePartitionError: If the input changed since it was validated.
        """
        run_path = self.store.run_path(self.partition.day, self.run_id)
        files, high_risk = [], 0
        for number, span in enumerate(self.spans):
            path = f"{run_path}/model_version={self.champion.version}/part-{number:03d}.parquet"
            receipt = self._receipt(number)
            if receipt is not None:
                file, flagged = self.store.copied(receipt.file, path), receipt.high_risk
            else:
                file, flagged = self._score(path, span)
            files.append(file)
            high_risk += flagged
        return ScoredPartition(
            rows=sum(file.rows for file in files),
            high_risk=high_risk,
            run_id=self.run_id,
            run_path=run_path,
            files=tuple(files),
        )

    @property
    def _folder(self) -> str:
        validating_run = self.checked.run_path.rpartition("/")[2]
        return f"{self.store.run_path(self.partition.day, validating_run)}/{SHARDS}"

    def _receipt(self, number: int) -> ShardReceipt | None:
        """What a shard left, or ``None`` where it left nothing, or something of other rows or another model."""
        try:
            path = self.store.absolute(f"{self._folder}/{number:03d}.json")
            receipt = ShardReceipt.model_validate_json(self.store.fs.cat_file(path))
        except (FileNotFoundError, ValidationError):
            return None
        found = (receipt.span, receipt.model_version_id, receipt.input_files, receipt.threshold)
        wanted = (self.spans[number], str(self.champion.version_id), self.partition.files, self.threshold)
        return receipt if found == wanted else None

    def _score(self, path: str, span: tuple[int, int]) -> tuple[StoredFile, int]:
        return score_good_rows(
            self.model(),
            self.partition,
            self.champion,
            rejected_rows(self.quarantine, self.checked.quarantine),
            landing=self.landing,
            store=self.store,
            path=path,
            batch_rows=self.batch_rows,
            threshold=self.threshold,
            run_id=self.run_id,
            span=span,
        )
