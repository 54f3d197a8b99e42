"""Which rows of a partition are bad, and why: vectorised checks on Arrow record batches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from zenml_mlops.data.contract import ColumnRule, ColumnType, Contract

_MAX_SHOWN = 40


class Reason(StrEnum):
    """Why a row goes to quarantine."""

    MISSING = "missing_value"
    OUT_OF_RANGE = "out_of_range"
    UNKNOWN_VALUE = "unknown_value"
    OUT_OF_SCOPE = "out_of_scope"
    DUPLICATE = "duplicate_row"


class SchemaBrokenError(ValueError):
    """A file does not have the columns and types of the contract. The message lists every difference."""


@dataclass(frozen=True)
class Complaint:
    """One reason against one row."""

    reason: Reason
    text: str


def arrow_schema(columns: Sequence[ColumnRule]) -> pa.Schema:
    """The Arrow schema of some columns, in their order."""
    kinds = {ColumnType.INTEGER: pa.int64(), ColumnType.NUMBER: pa.float64(), ColumnType.TEXT: pa.string()}
    return pa.schema([pa.field(rule.name, kinds[rule.type]) for rule in columns])


def check_file_schema(found: pa.Schema, contract: Contract, name: str) -> None:
    """Check columns and types of a file. Further columns are ignored.

    Raises:
        SchemaBrokenError: If a column is missing or has another type.
    """
    problems = []
    for rule in contract.columns:
        index = found.get_field_index(rule.name)
        if index < 0:
            problems.append(f"{rule.name} is missing")
        elif not _fits(found.field(index).type, rule):
            problems.append(f"{rule.name} is {found.field(index).type}, expected {rule.type.value}")
    if problems:
        raise SchemaBrokenError(
            f"{name} breaks the contract of {len(contract.columns)} columns, so nothing of it is scored: "
            f"{'; '.join(problems)}. The producer must deliver the file again."
        )


class SeenIds:
    """The row ids met so far in a partition.

    The only state that grows with the partition: 8 bytes a row. Sorted runs are merged when they reach the
    size of their neighbour, so that n ids cost O(n log n) and a lookup O(log n) in at most log n runs.
    """

    def __init__(self) -> None:
        self._runs: list[npt.NDArray[np.int64]] = []

    def repeated(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Mark every id met before, in an earlier batch or earlier in this one; then remember all."""
        unique, first = np.unique(ids, return_index=True)
        again = np.ones(len(ids), dtype=bool)
        again[first] = False
        for run in self._runs:
            position = np.minimum(np.searchsorted(run, ids), len(run) - 1)
            again |= run[position] == ids
        self._remember(unique)
        return again

    def _remember(self, run: npt.NDArray[np.int64]) -> None:
        while self._runs and len(self._runs[-1]) <= len(run):
            run = np.union1d(self._runs.pop(), run)
        if len(run):
            self._runs.append(run)


def check_rows(batch: pa.RecordBatch, contract: Contract, seen: SeenIds) -> dict[int, list[Complaint]]:
    """Check the rows of a batch against the contract.

    Of rows with one id, the first in the partition is kept and the later ones are bad: which of
    them is right cannot be told, and scoring both would count a case twice.

    Args:
        batch: n rows with the contract's columns and types.
        seen: The ids of earlier batches; updated.

    Returns:
        Complaints by row number within the batch, for bad rows only.
    """
    bad: dict[int, list[Complaint]] = defaultdict(list)
    for rule in contract.columns:
        column = batch.column(rule.name)
        if rule.required:
            absent = pc.is_null(column, nan_is_null=True)
            _note(bad, absent, Reason.MISSING, lambda _, r=rule: f"{r.name} has no value")
        if rule.type is not ColumnType.TEXT:
            _check_range(bad, column, rule)
        elif rule.values is not None:
            unknown = pc.and_(pc.is_valid(column), pc.invert(pc.is_in(column, pa.array(rule.values))))
            _note(
                bad,
                unknown,
                Reason.UNKNOWN_VALUE,
                lambda row, c=column, r=rule: (
                    f"{r.name} is {_shown(c[row])}, not one of {', '.join(r.values or ())}"
                ),
            )
    if (out := contract.excluded) is not None:
        codes = batch.column(out.column)
        excluded = pc.is_in(codes, pa.array(sorted(out.codes), pa.int64()))
        _note(bad, excluded, Reason.OUT_OF_SCOPE, lambda row: f"{out.column} {codes[row]} is {out.meaning}")
    ids = batch.column(contract.row_id)
    known = np.flatnonzero(ids.is_valid().to_numpy(zero_copy_only=False))
    values = ids.drop_null().to_numpy(zero_copy_only=False)
    for row in known[seen.repeated(values)]:
        text = f"{contract.row_id} {ids[int(row)]} occurs earlier in the partition"
        bad[int(row)].append(Complaint(Reason.DUPLICATE, text))
    return dict(bad)


def _check_range(bad: dict[int, list[Complaint]], column: pa.Array, rule: ColumnRule) -> None:
    for bound, breaks, word in ((rule.minimum, pc.less, "at least"), (rule.maximum, pc.greater, "at most")):
        if bound is not None:
            must = f"must be {word} {bound}"
            _note(
                bad,
                breaks(column, bound),
                Reason.OUT_OF_RANGE,
                lambda row, must=must: f"{rule.name} is {column[row]}, {must}",
            )


def _note(bad: dict[int, list[Complaint]], mask: pa.Array, reason: Reason, text: Any) -> None:
    if not pc.any(mask, min_count=0).as_py():
        return
    for row in np.flatnonzero(pc.fill_null(mask, False).to_numpy(zero_copy_only=False)):
        bad[int(row)].append(Complaint(reason, text(int(row))))


def _shown(value: pa.Scalar) -> str:
    text = str(value)
    return repr(text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…")


def _fits(found: pa.DataType, rule: ColumnRule) -> bool:
    if rule.type is ColumnType.INTEGER:
        return bool(pa.types.is_integer(found))
    if rule.type is ColumnType.NUMBER:
        # A writer that met whole numbers alone may have taken the column for one of integers.
        return bool(pa.types.is_floating(found) or pa.types.is_integer(found))
    if pa.types.is_dictionary(found):
        found = found.value_type
    # A column in which the writer met no value at all has the null type; its rows are judged one by one.
    return bool(pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_null(found))
