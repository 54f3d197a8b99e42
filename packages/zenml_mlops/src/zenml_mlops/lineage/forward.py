"""From a file, a model version or a run to every prediction that came of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from zenml_mlops.data.partitions import PartitionError
from zenml_mlops.inference.batch import PredictionManifest
from zenml_mlops.lineage.partitions import Partition, Stores, TraceError

_PLACE = re.compile(r"^(?:(?P<root>.*)/)?(?:date=)?(?P<day>\d{4}-\d{2}-\d{2})/(?P<name>[^/]+\.parquet)$")
SHA256 = re.compile(r"^[0-9a-f]{64}$")
_RUN_ID = "zenml_run_id"

Spans = list[tuple[int, int]]
"""Rows of a partition, as first and row after the last, in the order of its files."""


@dataclass(frozen=True)
class Affected:
    """The predictions of one partition that came of something.

    Attributes:
        exact: Whether exactly these; ``False`` where the records cannot tell them from the partition's others.
    """

    partition: Partition
    spans: tuple[tuple[int, int], ...]
    exact: bool = True

    @property
    def rows(self) -> int:
        """How many predictions."""
        return sum(end - start for start, end in self.spans)


@dataclass(frozen=True)
class LandingFile:
    """A landing file: by place, or by digest wherever it lay.

    Attributes:
        sha256: Its digest; ``None`` if it is named by its place.
    """

    day: date | None = None
    name: str | None = None
    sha256: str | None = None

    def names_in(self, manifest: PredictionManifest) -> list[str]:
        """Names of the input files of a partition that are this file."""
        if self.sha256 is not None:
            return [name for name, digest in manifest.input_files.items() if digest == self.sha256]
        same = manifest.partition_date == self.day and self.name in manifest.input_files
        return [str(self.name)] if same else []


def landing_file(text: str, stores: Stores) -> LandingFile | None:
    """Read what names a landing file: ``[LANDING/]date=DAY/NAME.parquet``, or a sha256; ``None`` if nothing does.

    Raises:
        TraceError: If it is the place of a file outside of the landing zone, or the date is none.
    """
    if SHA256.match(text):
        return LandingFile(sha256=text)
    match = _PLACE.match(text)
    if match is None:
        return None
    roots = {root.rstrip("/") for root in (stores.landing, stores.location)}
    if match["root"] is not None and match["root"].rstrip("/") not in roots:
        raise TraceError(
            f"{text} does not lie in the landing zone {stores.location}: name a file there, as "
            f"date={match['day']}/{match['name']}, or its sha256."
        )
    try:
        return LandingFile(day=date.fromisoformat(match["day"]), name=match["name"])
    except ValueError:
        raise TraceError(f"{match['day']} in {text} is no date.") from None


def affected_by_file(stores: Stores, file: LandingFile, *, replaced: bool) -> list[Affected]:
    """The predictions made from the rows of a landing file, whether or not it is still there."""
    return _affected(stores, replaced, lambda partition: _of_file(stores, partition, file))


def affected_by_versions(
    stores: Stores, ids: Iterable[str], named: Iterable[tuple[str, int]] = (), *, replaced: bool
) -> list[Affected]:
    """The predictions of model versions, by their ids, or by name and number where ZenML has lost the version."""
    wanted, numbers = set(ids), set(named)

    def judge(partition: Partition) -> Affected | None:
        manifest = partition.manifest
        numbered = (manifest.model_name, manifest.model_version) in numbers
        return _whole(partition) if str(manifest.model_version_id) in wanted or numbered else None

    return _affected(stores, replaced, judge)


def affected_by_run(stores: Stores, run_id: str, *, replaced: bool) -> list[Affected]:
    """The predictions that a run scored or published, or whose model it trained."""

    def judge(partition: Partition) -> Affected | None:
        manifest = partition.manifest
        if run_id in {manifest.zenml_run_id, str(manifest.training_run_id)}:
            return _whole(partition)
        # Shards of a day may have been scored by an earlier run than the one that gathered and published them.
        spans = _spans_where(stores, partition, run_id)
        return Affected(partition, tuple(spans)) if spans else None

    return _affected(stores, replaced, judge)


def affected_ids(stores: Stores, affected: Affected) -> list[int]:
    """The cases of affected predictions.

    Raises:
        PartitionError: If a file of the predictions is gone or was changed.
    """
    parts = []
    for file in affected.partition.manifest.files:
        stores.predictions.check(file)
        parts.append(stores.predictions.column(file, stores.contract.row_id))
    ids = np.concatenate(parts) if parts else np.empty(0, dtype="int64")
    return [int(one) for start, end in affected.spans for one in ids[start:end]]


def _affected(stores: Stores, replaced: bool, judge: Callable[[Partition], Affected | None]) -> list[Affected]:
    found = (judge(partition) for partition in stores.partitions(stores.days(), replaced=replaced))
    return [one for one in found if one is not None]


def _whole(partition: Partition, *, exact: bool = True) -> Affected:
    return Affected(partition, ((0, partition.manifest.rows),), exact)


def _of_file(stores: Stores, partition: Partition, file: LandingFile) -> Affected | None:
    manifest = partition.manifest
    names = file.names_in(manifest)
    if not names:
        return None
    if len(names) == len(manifest.input_files):
        return _whole(partition)
    if set(manifest.input_rows) != set(manifest.input_files):
        return _whole(partition, exact=False)
    try:
        rejected = stores.rejected(manifest)
    except PartitionError:
        return _whole(partition, exact=False)
    spans, start = [], 0
    for name in manifest.input_files:
        end = start + manifest.input_rows[name]
        if name in names:
            first, last = (int(edge - np.searchsorted(rejected, edge)) for edge in (start, end))
            spans.append((first, last))
        start = end
    return Affected(partition, tuple(spans))


def _spans_where(stores: Stores, partition: Partition, run_id: str) -> Spans:
    spans, start = [], 0
    for file in partition.manifest.files:
        if stores.predictions.fs.exists(stores.predictions.absolute(file.path)):
            mask: Any = stores.predictions.column(file, _RUN_ID) == run_id
            edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype("int8")))
            spans += [(start + int(a), start + int(b)) for a, b in edges.reshape(-1, 2)]
        start += file.rows
    return spans
