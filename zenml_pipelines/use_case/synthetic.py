"""Seeded encounters that look like the published ones where it matters to a pipeline, and hold no patient.

A file is generated and written in chunks, so memory does not grow with its length. A chunk holds whole patients
spread over the whole time span; its ids are the integers that leave the chunk's number as remainder, so ids are
unique across chunks that never meet in memory, and the file is as unsorted in time as the published one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from zenml_mlops.data.errors import DataError
from zenml_pipelines.use_case.calibration import DECILES, Calibration, load_calibration, position
from zenml_pipelines.use_case.labels import LabelModel, rake
from zenml_pipelines.use_case.schema import (
    COLUMNS,
    COUNT_COLUMNS,
    DRUG_COLUMNS,
    ENCOUNTER_ID,
    LABEL,
    MISSING,
    PATIENT_ID,
    TERMINAL_DISPOSITIONS,
)

CHUNK_ROWS: Final = 20_000
MAX_ROWS: Final = 20_000_000
"""The published ids span 444 million integers; beyond this many rows too few are left to keep them unique."""

_PILOT_ROWS = 80_000
_LONGEST_SPAN = 0.9
_PILOT_SEED = 0

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Objects = npt.NDArray[np.object_]


def write_synthetic(path: Path, rows: int, seed: int, on_rows: Callable[[int], object] | None = None) -> None:
    """Write a CSV in the published dialect (CRLF, ``?`` for missing); the same arguments give the same bytes.

    Args:
        path: File to write; replaced if it exists.
        rows: Encounters, 1 to :data:`MAX_ROWS`.
        seed: Non-negative seed.
        on_rows: Called with the number of rows after each chunk.

    Raises:
        DataError: If ``rows`` or ``seed`` is out of range.
    """
    if not 1 <= rows <= MAX_ROWS:
        raise DataError(f"Synthetic data has 1 to {MAX_ROWS:,} rows; found {rows:,}.")
    if seed < 0:
        raise DataError(f"The seed of synthetic data is not negative; found {seed}.")
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(COLUMNS) + "\r\n")
        for chunk in generate(rows, seed):
            chunk.to_csv(file, index=False, header=False, lineterminator="\r\n")
            if on_rows is not None:
                on_rows(len(chunk))


def generate(rows: int, seed: int) -> Iterator[pd.DataFrame]:
    """Yield the encounters in chunks of at most :data:`CHUNK_ROWS`, every value as the CSV spells it."""
    calibration = load_calibration()
    chunks = -(-rows // CHUNK_ROWS)
    labels = _label_model()
    for number in range(chunks):
        rng = np.random.default_rng([seed, number])
        size = min(CHUNK_ROWS, rows - number * CHUNK_ROWS)
        yield _labelled(_encounters(size, number, chunks, calibration, rng), labels, rng)


@cache
def _label_model() -> LabelModel:
    """Rake the label once per process: it follows from the calibration, whatever seed is asked for."""
    calibration = load_calibration()
    pilot = _encounters(_PILOT_ROWS, 0, 1, calibration, np.random.default_rng(_PILOT_SEED))
    return rake(pilot, calibration)


def _labelled(frame: pd.DataFrame, labels: LabelModel, rng: np.random.Generator) -> pd.DataFrame:
    frame[LABEL] = labels.draw(frame, rng)
    return frame.loc[rng.permutation(len(frame)), list(COLUMNS)]


def _encounters(
    size: int, number: int, chunks: int, calibration: Calibration, rng: np.random.Generator
) -> pd.DataFrame:
    """Return one chunk without label, plus the columns ``position`` (0 to 3) and ``decile`` (0 to 9)."""
    patient, first, last = _patients(size, calibration, rng)
    when = _times(patient, first, calibration.mean_gap, rng)
    where = position(first, last)
    decile = np.minimum((when * DECILES).astype("int64"), DECILES - 1)
    columns: dict[str, Any] = {
        "position": where,
        "decile": decile,
        ENCOUNTER_ID: _encounter_ids(when, number, chunks, calibration),
        PATIENT_ID: _patient_ids(int(patient[-1]) + 1, number, chunks, calibration, rng)[patient],
    }
    for name, table in calibration.static.items():
        columns[name] = _draw(table, size, rng)
    for name in ("race", "gender", "age"):
        columns[name] = columns[name][np.flatnonzero(first)][patient]
    for name, by_decile in calibration.by_decile.items():
        tables = [{value: rows[d] for value, rows in by_decile.items()} for d in range(DECILES)]
        columns[name] = _draw_by(tables, decile, rng)
    columns |= _counts(where, decile, calibration, rng)
    columns |= _regimen(size, calibration, rng)
    kinds = list(calibration.admission_source)
    kind = pd.Index(kinds).get_indexer(pd.Index(columns["admission_type_id"]))
    columns["admission_source_id"] = _draw_by([calibration.admission_source[k] for k in kinds], kind, rng)
    columns["discharge_disposition_id"] = _end_with_the_last_encounter(
        columns["discharge_disposition_id"], last, rng
    )
    # A diagnosis that was not made is missing, and the number of diagnoses says how many were made.
    columns["diag_2"] = np.where(columns["number_diagnoses"] < 2, MISSING, columns["diag_2"])
    columns["diag_3"] = np.where(columns["number_diagnoses"] < 3, MISSING, columns["diag_3"])
    return pd.DataFrame(columns)


def _patients(
    size: int, calibration: Calibration, rng: np.random.Generator
) -> tuple[Ints, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return each row's patient (0, 1, …, ascending) and whether it is the patient's first or last row."""
    lengths = np.array(list(calibration.encounters_per_patient))
    shares = np.array(list(calibration.encounters_per_patient.values()), dtype="float64")
    drawn = rng.choice(lengths, size=size, p=shares / shares.sum())
    patient = np.repeat(np.arange(size), drawn)[:size]
    change = patient[1:] != patient[:-1]
    return patient, np.append(True, change), np.append(change, True)


def _times(patient: Ints, first: npt.NDArray[np.bool_], mean_gap: float, rng: np.random.Generator) -> Floats:
    """Return when each row happens: evenly spread over (0, 1), ascending within a patient.

    A patient's whole span lies inside the observed time, so late encounters do not pile up at its end.
    """
    gaps = rng.exponential(mean_gap, len(patient))
    gaps[first] = 0.0
    elapsed = np.cumsum(gaps)
    elapsed -= elapsed[np.flatnonzero(first)][patient]
    span = np.bincount(patient, weights=gaps)
    kept = np.minimum(span, _LONGEST_SPAN)
    start = rng.random(len(span)) * (1.0 - kept)
    stretch = np.divide(kept, span, out=np.ones_like(span), where=span > 0)
    return _ranks(start[patient] + elapsed * stretch[patient], rng)


def _ranks(values: Floats, rng: np.random.Generator) -> Floats:
    """Spread values evenly over (0, 1), keeping their order."""
    order = np.argsort(values, kind="stable")
    spread = np.empty(len(values))
    spread[order] = (np.arange(len(values)) + rng.random(len(values))) / len(values)
    return np.asarray(np.clip(spread, 1e-9, 1 - 1e-9))


def _encounter_ids(when: Floats, number: int, chunks: int, calibration: Calibration) -> Ints:
    """Return unique ids that ascend with time and leave ``number`` as remainder modulo ``chunks``."""
    known = calibration.encounter_id_quantiles
    order = np.argsort(when, kind="stable")
    slots = np.interp(when[order], np.linspace(0, 1, len(known)), known).astype("int64") // chunks
    steps = np.arange(len(when))
    ids = np.empty(len(when), dtype="int64")
    ids[order] = (np.maximum.accumulate(slots - steps) + steps) * chunks + number
    return ids


def _patient_ids(
    patients: int, number: int, chunks: int, calibration: Calibration, rng: np.random.Generator
) -> Ints:
    low, high = calibration.patient_nbr_range
    slots = rng.choice((high - low) // chunks, size=patients, replace=False)
    return np.asarray(low + slots.astype("int64") * chunks + number)


def _draw(table: Mapping[str, int], size: int, rng: np.random.Generator) -> Objects:
    """Draw values in proportion to their counts."""
    edges = np.cumsum(np.array(list(table.values()), dtype="float64"))
    picked = np.searchsorted(edges, rng.random(size) * edges[-1], side="right")
    values: Objects = np.array(list(table), dtype="object")
    return np.asarray(values[np.minimum(picked, len(table) - 1)])


def _draw_by(tables: Sequence[Mapping[str, int]], which: Ints, rng: np.random.Generator) -> Objects:
    """Draw each row's value from the table that ``which`` names for it."""
    drawn = np.empty(len(which), dtype="object")
    for number, table in enumerate(tables):
        rows = np.flatnonzero(which == number)
        drawn[rows] = _draw(table, len(rows), rng)
    return drawn


def _counts(where: Ints, decile: Ints, calibration: Calibration, rng: np.random.Generator) -> dict[str, Ints]:
    """Draw the count columns: correlated normal scores that drift, ranked within each position.

    Ranking before looking a value up keeps each column's published shares exact, whatever the drift adds.
    """
    correlation = np.array(calibration.count_correlation)
    scores = rng.standard_normal((len(where), len(COUNT_COLUMNS))) @ np.linalg.cholesky(correlation).T
    counts = {}
    for number, name in enumerate(COUNT_COLUMNS):
        drifting = scores[:, number] + np.array(calibration.count_drift[name])[decile]
        values = np.array(list(calibration.counts[name]), dtype="int64")
        table = np.array(list(calibration.counts[name].values()), dtype="float64")
        drawn = np.empty(len(where), dtype="int64")
        for place in range(table.shape[1]):
            rows = np.flatnonzero(where == place)
            edges = np.cumsum(table[:, place]) / table[:, place].sum()
            picked = np.searchsorted(edges, _ranks(drifting[rows], rng), side="right")
            drawn[rows] = values[np.minimum(picked, len(values) - 1)]
        counts[name] = drawn
    return counts


def _regimen(size: int, calibration: Calibration, rng: np.random.Generator) -> dict[str, Objects]:
    """Draw the drugs, and the two columns that follow from them without exception in the published file."""
    shares = np.array([rows for _, rows in calibration.regimens], dtype="float64")
    on = np.array([[drug in drugs for drug in DRUG_COLUMNS] for drugs, _ in calibration.regimens])
    taken = on[rng.choice(len(shares), size=size, p=shares / shares.sum())]
    columns: dict[str, Objects] = {}
    adjusted = np.zeros(size, dtype=bool)
    for number, drug in enumerate(DRUG_COLUMNS):
        doses = calibration.doses.get(drug)
        dose = _draw(doses, size, rng) if doses else np.full(size, "No", dtype="object")
        columns[drug] = np.where(taken[:, number], dose, "No")
        adjusted |= np.isin(columns[drug].astype(str), ("Up", "Down"))
    drugs_taken = taken.sum(axis=1)
    columns["change"] = np.where(adjusted | (drugs_taken > 1), "Ch", "No")
    columns["diabetesMed"] = np.where(drugs_taken > 0, "Yes", "No")
    return columns


def _end_with_the_last_encounter(
    disposition: Objects, last: npt.NDArray[np.bool_], rng: np.random.Generator
) -> Objects:
    """Swap deaths and hospice discharges away from rows that the patient comes back after."""
    terminal = np.isin(disposition.astype("int64"), list(TERMINAL_DISPOSITIONS))
    misplaced = np.flatnonzero(terminal & ~last)
    free = np.flatnonzero(~terminal & last)
    partner = rng.choice(free, size=min(len(misplaced), len(free)), replace=False)
    misplaced = misplaced[: len(partner)]
    disposition[misplaced], disposition[partner] = disposition[partner], disposition[misplaced].copy()
    return disposition
