"""A challenger that scores the same day in the shadow of the champion: how far the two agree.

The two files of a day are read side by side in batches of one size, into counts on a fixed grid and a few sums, so
memory stays flat however large the day is, and the numbers do not depend on how the day was cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import zip_longest
from typing import Any, Final
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import AwareDatetime, ConfigDict

from zenml_airflow.contracts.frozen import Frozen
from zenml_mlops.data.partitions import PartitionManifest, PartitionStore, StoredFile
from zenml_mlops.gates.statistics import cumulative_distance, population_stability
from zenml_mlops.inference.batch import Decision
from zenml_mlops.inference.champion import EmptyStageError, ScoringVersion, find_challenger, find_champion
from zenml_mlops.inference.config import BatchInferenceConfig, Stage

SHADOW_METADATA: Final = "shadow"
"""Metadata of a run: what its challenger came to, see :class:`ShadowRecord`."""

_GRID: Final = 1000
_SHOWN_BINS: Final = 20
_DIGITS: Final = 6

_Counts = npt.NDArray[np.int64]
_Pair = tuple[pa.Table, pa.Table]


class ShadowError(RuntimeError):
    """The challenger did not score the rows that the champion scored."""


class ShadowStatus(StrEnum):
    """What became of the challenger of a day."""

    SCORED = "scored"
    NONE = "none"
    FAILED = "failed"


class Agreement(Frozen):
    """How far two versions agree on a day's rows. A difference is the challenger's risk less the champion's.

    Attributes:
        rows: Rows that both scored.
        same_decision: Share of the rows with one decision by both; ``None`` without a row, as all that follows.
        only_champion: Rows of high risk by the champion alone.
        only_challenger: Rows of high risk by the challenger alone.
        both: Rows of high risk by both.
        correlation: Pearson's, of the risks; ``None`` if one of the two gives all rows one risk.
        rank_correlation: Spearman's, of the risks in steps of a thousandth.
        mean_absolute_difference: Mean size of the differences.
        p95_absolute_difference: Size that 95 percent of them do not exceed, in steps of a thousandth.
        largest_difference: The largest of these sizes.
        psi: Population stability index of the challenger's risks against the champion's, in tenths of the latter;
            half a row is added to each, so that an empty one counts as rare and not as infinitely far.
        ks: Largest distance between the two cumulative distributions, in steps of a thousandth.
        champion_risks: Rows by risk in steps of 0.05.
        challenger_risks: The same.
    """

    rows: int
    same_decision: float | None = None
    only_champion: int = 0
    only_challenger: int = 0
    both: int = 0
    correlation: float | None = None
    rank_correlation: float | None = None
    mean_difference: float | None = None
    mean_absolute_difference: float | None = None
    p95_absolute_difference: float | None = None
    largest_difference: float | None = None
    psi: float | None = None
    ks: float | None = None
    champion_risks: tuple[int, ...] = ()
    challenger_risks: tuple[int, ...] = ()


class ShadowRecord(Frozen):
    """What became of the challenger of a run.

    Attributes:
        reason: Why there was none, or what failed.
        challenger: Number of the challenger, where one was found.
        manifest: Location of its scores, below the storage root or as a URL.
    """

    status: ShadowStatus
    reason: str = ""
    champion: int
    challenger: int | None = None
    agreement: Agreement | None = None
    manifest: str | None = None

    def metadata(self) -> dict[str, Any]:
        """The record as metadata of a run, without what only a plot needs."""
        detail = {"agreement": {"champion_risks", "challenger_risks"}} if self.agreement else None
        return self.model_dump(mode="json", exclude_none=True, exclude=detail)


class ShadowManifest(PartitionManifest):
    """What a challenger's partition holds, and which predictions it was compared with."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model_name: str
    model_version: int
    model_version_id: UUID
    champion_version: int
    champion_files: tuple[StoredFile, ...]
    decision_threshold: float
    high_risk: int
    agreement: Agreement
    published_at: AwareDatetime


def find_shadow(config: BatchInferenceConfig, champion: ScoringVersion) -> tuple[ScoringVersion | None, str]:
    """Find the version that scores in the champion's shadow.

    Returns:
        The version, or ``None`` and the reason why there is none.

    Raises:
        NoChampionError: If the configured version does not exist, or the one found lacks its model or schema.
    """
    number = config.shadow.version
    try:
        found = (
            find_challenger(config.model_name, number)
            if number is not None
            else find_champion(config.model_name, Stage.STAGING.value)
        )
    except EmptyStageError:
        return None, f"no version of {config.model_name!r} is in {Stage.STAGING.value}"
    if found.version_id == champion.version_id:
        return None, f"version {found.version} is the one that scores the day"
    return found, ""


def measure_agreement(
    champion: tuple[PartitionStore, Sequence[StoredFile]],
    challenger: tuple[PartitionStore, Sequence[StoredFile]],
    *,
    row_id: str,
    batch_rows: int,
) -> Agreement:
    """Compare two files of scores of the same rows in the same order.

    Args:
        champion: Where the champion's files lie, and the files.
        challenger: The same of the challenger.
        batch_rows: Rows in memory at once.

    Raises:
        PartitionError: If a file is gone or damaged.
        ShadowError: If the rows are not the same.
    """
    tally = _Tally()
    sides = (_tables(*champion, row_id, batch_rows), _tables(*challenger, row_id, batch_rows))
    for one, other in zip_longest(*sides):
        if one is None or other is None or not one[row_id].equals(other[row_id]):
            raise ShadowError(
                "The challenger's scores are not of the rows that the champion scored, so the two cannot be "
                "compared: run the day again."
            )
        tally.add((one, other))
    return tally.agreement()


class _Tally:
    """What is left of the rows: counts on a grid of risks, and sums."""

    def __init__(self) -> None:
        self.joint: _Counts = np.zeros((_GRID, _GRID), dtype=np.int64)
        self.sizes: _Counts = np.zeros(_GRID + 1, dtype=np.int64)
        self.decisions: _Counts = np.zeros((2, 2), dtype=np.int64)
        self.sums = np.zeros(6)
        self.absolute = self.largest = 0.0

    def add(self, pair: _Pair) -> None:
        one, other = (table["risk"].to_numpy() for table in pair)
        high = [pc.equal(table["decision"], Decision.HIGH_RISK.value).to_numpy().astype(int) for table in pair]
        np.add.at(self.decisions, (high[0], high[1]), 1)
        np.add.at(self.joint, (_cells(one, _GRID), _cells(other, _GRID)), 1)
        size = np.abs(other - one)
        np.add.at(self.sizes, np.ceil(size * _GRID).astype(np.int64), 1)
        self.sums += (one.sum(), other.sum(), one @ one, other @ other, one @ other, (other - one).sum())
        self.absolute += float(size.sum())
        self.largest = max(self.largest, float(size.max()))

    def agreement(self) -> Agreement:
        rows = int(self.joint.sum())
        if not rows:
            return Agreement(rows=0)
        mine, theirs = self.joint.sum(axis=1), self.joint.sum(axis=0)
        return Agreement(
            rows=rows,
            same_decision=_short(np.trace(self.decisions) / rows),
            only_champion=int(self.decisions[1, 0]),
            only_challenger=int(self.decisions[0, 1]),
            both=int(self.decisions[1, 1]),
            correlation=self._correlation(rows),
            rank_correlation=_rank_correlation(self.joint),
            mean_difference=_short(self.sums[5] / rows),
            mean_absolute_difference=_short(self.absolute / rows),
            p95_absolute_difference=_short(np.searchsorted(self.sizes.cumsum(), 0.95 * rows) / _GRID),
            largest_difference=_short(self.largest),
            psi=_short(population_stability(mine, theirs)),
            ks=_short(cumulative_distance(mine, theirs)),
            champion_risks=_coarse(mine),
            challenger_risks=_coarse(theirs),
        )

    def _correlation(self, rows: int) -> float | None:
        x, y, xx, yy, xy, _ = self.sums / rows
        return _ratio(xy - x * y, xx - x * x, yy - y * y)


def _rank_correlation(joint: _Counts) -> float | None:
    rows = joint.sum()
    # The rank of a cell is the mean rank of its rows; ranks are centred, so that sums need no correction.
    sides = (joint.sum(axis=1), joint.sum(axis=0))
    one, other = ((counts.cumsum() - (counts - 1) / 2 - (rows + 1) / 2) / rows for counts in sides)
    covariance = float(one @ joint @ other) / rows
    return _ratio(covariance, float(sides[0] @ one**2) / rows, float(sides[1] @ other**2) / rows)


def _ratio(covariance: float, one: float, other: float) -> float | None:
    # Below that, a spread is what rounding leaves of none.
    return _short(covariance / np.sqrt(one * other)) if min(one, other) > 1e-12 else None


def _cells(risk: npt.NDArray[np.float64], cells: int) -> npt.NDArray[np.int64]:
    return np.minimum((risk * cells).astype(np.int64), cells - 1)


def _coarse(counts: _Counts) -> tuple[int, ...]:
    return tuple(int(count) for count in counts.reshape(_SHOWN_BINS, -1).sum(axis=1))


def _short(value: float) -> float:
    """Rounded to what does not depend on the order of a sum."""
    return round(float(value), _DIGITS)


def _tables(store: PartitionStore, files: Sequence[StoredFile], row_id: str, rows: int) -> Iterator[pa.Table]:
    """The rows of files as tables of one size, wherever the files end; the last may be shorter."""
    columns = [row_id, "risk", "decision"]
    pending: list[pa.Table] = []
    held = 0
    for stored in files:
        store.check(stored)
        with store.fs.open(store.absolute(stored.path), "rb") as source:
            batches = pq.ParquetFile(source).iter_batches(batch_size=rows, columns=columns, use_threads=False)
            for batch in batches:
                pending.append(pa.Table.from_batches([batch]))
                held += batch.num_rows
                if held < rows:
                    continue
                whole = pa.concat_tables(pending)
                yield whole.slice(0, rows)
                pending, held = [whole.slice(rows)], held - rows
    if held:
        yield pa.concat_tables(pending)
