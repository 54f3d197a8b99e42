"""A use case whose labelled rows are one comma-separated table, described by its contract and a few numbers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from zenml_mlops.data.contract import ColumnType, Contract
from zenml_mlops.data.errors import DataError
from zenml_mlops.data.files import temporary_file
from zenml_mlops.data.source import Accepted, Source
from zenml_mlops.data.table_spec import MAX_ROWS, TableSpec

MISSING: Final = ("", "NA", "NaN", "nan", "NULL", "null", "?")
"""Texts of a table that stand for no value."""

_DTYPES: Final = {ColumnType.INTEGER: "int64", ColumnType.NUMBER: "float64", ColumnType.TEXT: "object"}


def table_source(contract: Contract, table: TableSpec) -> Source:
    """The source of such a use case."""

    def generate(path: Path, rows: int, seed: int, on_rows: Callable[[int], object] | None = None) -> None:
        if not 1 <= rows <= MAX_ROWS:
            raise DataError(f"Synthetic data has 1 to {MAX_ROWS:,} rows; found {rows:,}.")
        frame = made_up_rows(contract, table, rows, seed)
        frame.drop(columns=[contract.row_id] if table.numbered else []).to_csv(path, index=False)
        if on_rows is not None:
            on_rows(rows)

    @contextmanager
    def accept(path: Path, folder: Path, origin: str) -> Iterator[Accepted]:
        with temporary_file(folder, table.file) as copy:
            shutil.copyfile(path, copy)
            try:
                read_table(contract, table, copy)
            except DataError as error:
                raise DataError(f"{origin} is not accepted, and nothing was kept: {error}") from error
            yield Accepted(copy)

    return Source(
        read=lambda path: read_table(contract, table, path),
        accept=accept,
        generate=generate,
        rows=table.rows,
        seed=table.seed,
    )


def read_table(contract: Contract, table: TableSpec, path: Path) -> pd.DataFrame:
    """Read the rows, typed as the contract says; further columns are left out.

    Args:
        path: A comma-separated file with a header, in UTF-8.

    Returns:
        One row per line in file order: integers ``int64``, numbers ``float64``, texts and the label ``object``
        holding ``str`` or ``NaN``.

    Raises:
        DataError: If a column is missing, or a value is of another type.
    """
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=list(MISSING))
    except ValueError as error:
        raise DataError(f"{path.name} is not a comma-separated table in UTF-8: {error}") from error
    if table.numbered:
        frame[contract.row_id] = range(1, len(frame) + 1)
    names = [*(rule.name for rule in contract.columns), contract.label]
    missing = sorted(set(names) - set(frame.columns))
    if missing:
        raise DataError(f"{path.name} lacks the columns {missing} of the contract.")
    frame = frame[names]
    for rule in contract.columns:
        try:
            frame = frame.astype({rule.name: _DTYPES[rule.type]})
        except ValueError as error:
            raise DataError(f"{path.name}: {rule.name} is no column of type {rule.type.value}: {error}") from error
    return frame


def made_up_rows(contract: Contract, table: TableSpec, rows: int, seed: int) -> pd.DataFrame:
    """Draw rows with their label, as :func:`read_table` reads them; the same arguments give the same rows.

    Columns are independent of each other, and a linear score of all numbers decides the label.
    """
    random = np.random.default_rng(seed)
    columns: dict[str, Any] = {}
    score = np.zeros(rows)
    for rule in contract.columns:
        whole = rule.type is ColumnType.INTEGER
        if rule.name == contract.row_id:
            columns[rule.name] = np.arange(1, rows + 1)
        elif rule.name in table.ranges:
            low, high = table.ranges[rule.name]
            drawn = np.clip(random.normal((low + high) / 2, max(high - low, 1e-9) / 4, rows), low, high)
            columns[rule.name] = np.round(drawn).astype("int64") if whole else drawn
            score += (drawn - drawn.mean()) / max(float(drawn.std()), 1e-9)
        elif rule.name == contract.group_id and whole:
            columns[rule.name] = random.integers(1, max(2, rows), rows)
        else:
            values = table.values.get(rule.name) or rule.values or ("a", "b")
            chosen = random.integers(0, len(values), rows)
            columns[rule.name] = np.asarray(values, dtype=object)[chosen]
            # Without a number, texts decide.
            score += np.where(chosen == 0, 1.0, -1.0) if not table.ranges else 0.0
    noisy = table.strength * score / max(float(score.std()), 1e-9) + random.logistic(size=rows)
    event = noisy > np.quantile(noisy, 1 - table.event_share)
    others = np.asarray([value for value in contract.labels if value != contract.event], dtype=object)
    columns[contract.label] = np.where(event, contract.event, others[random.integers(0, len(others), rows)])
    return pd.DataFrame(columns)
