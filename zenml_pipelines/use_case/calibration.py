"""What the synthetic generator knows about the published data: counts, never rows.

``calibration.json`` is what :func:`measure` counts on the published file; a test repeats the count wherever
that file is at hand. A fork with other data of the same shape measures its own::

    write_calibration(measure(read_rows(csv), source="…"), CALIBRATION_FILE)
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri

from zenml_airflow.contracts.frozen import Frozen
from zenml_pipelines.use_case.schema import (
    COUNT_COLUMNS,
    DRUG_COLUMNS,
    ENCOUNTER_ID,
    LABEL,
    MISSING,
    PATIENT_ID,
    Readmitted,
)

CALIBRATION_FILE: Final = Path(__file__).with_name("calibration.json")
DECILES: Final = 10
POSITIONS: Final = 4

STATIC_COLUMNS: Final = ("race", "gender", "age", "diag_1", "diag_2", "diag_3")
DRIFTING_COLUMNS: Final = (
    "weight", "admission_type_id", "discharge_disposition_id", "payer_code", "medical_specialty", "max_glu_serum",
    "A1Cresult",
)  # fmt: skip
RATE_CAPS: Final[dict[str, int | None]] = {
    "position": None, "decile": None, "number_inpatient": 10, "number_emergency": 4, "number_outpatient": 4,
    "time_in_hospital": None, "number_diagnoses": 9, "discharge_disposition_id": None, "admission_source_id": None,
    "admission_type_id": None, "race": None, "age": None, "payer_code": None, "diag_1": None,
    "medical_specialty": None, "max_glu_serum": None, "A1Cresult": None, "insulin": None, "metformin": None,
}  # fmt: skip
"""The columns whose readmission rates the generator reproduces; counts above the cap share one rate."""

RATE_MIN_ROWS: Final = 100
"""A rate over fewer rows is noise (standard error above 3 points) and is left to the other columns."""


class Calibration(Frozen):
    """Counts and correlations of the published data.

    A *decile* is a tenth of the encounters in ``encounter_id`` order. A *position* is where an encounter
    stands among its patient's: see :func:`position`.

    Attributes:
        source: Where the counts come from, with the licence's attribution.
        encounter_id_quantiles: ``encounter_id`` at evenly spaced shares of the encounters.
        patient_nbr_range: Smallest and largest ``patient_nbr``.
        encounters_per_patient: Patients by their number of encounters.
        mean_gap: Mean distance of a patient's successive encounters, as a share of all encounters.
        static: Rows by value, per column that does not drift.
        by_decile: Rows by value and decile, per column that drifts.
        admission_source: Rows by admission type and admission source.
        counts: Rows by value and position, per count column.
        count_drift: Mean normal score per decile, per count column.
        count_correlation: Correlation of the normal scores of the count columns.
        regimens: The combinations of drugs that are on, with their rows.
        doses: Rows by dose (``Steady``, ``Up``, ``Down``), per drug that is on.
        rates: Rows, readmitted rows, and rows readmitted within 30 days, by value, per column of
            :data:`RATE_CAPS`.
    """

    source: str
    encounter_id_quantiles: list[int]
    patient_nbr_range: tuple[int, int]
    encounters_per_patient: dict[int, int]
    mean_gap: float
    static: dict[str, dict[str, int]]
    by_decile: dict[str, dict[str, list[int]]]
    admission_source: dict[str, dict[str, int]]
    counts: dict[str, dict[int, list[int]]]
    count_drift: dict[str, list[float]]
    count_correlation: list[list[float]]
    regimens: list[tuple[list[str], int]]
    doses: dict[str, dict[str, int]]
    rates: dict[str, dict[str, tuple[int, int, int]]]


@cache
def load_calibration() -> Calibration:
    """Read the calibration that ships with the package."""
    return Calibration.model_validate_json(CALIBRATION_FILE.read_text(encoding="utf-8"))


def position(first: npt.NDArray[np.bool_], last: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Code an encounter's place among its patient's: bit 0 is "not the first", bit 1 is "the last".

    A patient comes back after every encounter but the last, so this one number carries most of what a later
    row tells about an earlier one.
    """
    return np.asarray(np.where(first, 0, 1) + np.where(last, 2, 0), dtype="int64")


def rate_key(frame: pd.DataFrame, column: str) -> pd.Series:
    """Return the value, as text, by which ``column`` groups rows for a rate."""
    cap = RATE_CAPS[column]
    values = frame[column] if cap is None else frame[column].clip(upper=cap)
    return as_text(values)


def as_text(values: pd.Series) -> pd.Series:
    """Return the values as the text of the published file, ``?`` for a missing one."""
    return values.astype(str).where(values.notna(), MISSING)


def measure(encounters: pd.DataFrame, source: str) -> Calibration:
    """Count everything that the generator needs.

    Args:
        encounters: As :func:`~zenml_pipelines.use_case.schema.read_rows` returns them; at least some
            thousand rows for the counts to mean anything.
        source: Attribution to store with the counts.
    """
    frame = encounters.sort_values(ENCOUNTER_ID).reset_index(drop=True)
    patient = frame.groupby(PATIENT_ID)[ENCOUNTER_ID]
    index, size = patient.cumcount().to_numpy(), patient.transform("size").to_numpy()
    frame["position"] = position(index == 0, index == size - 1)
    frame["decile"] = np.arange(len(frame)) * DECILES // len(frame)
    gaps = frame.assign(order=frame.index / len(frame)).groupby(PATIENT_ID)["order"].diff()
    scores = frame[list(COUNT_COLUMNS)].apply(_normal_scores)
    quantiles = frame[ENCOUNTER_ID].quantile(np.linspace(0, 1, 21), interpolation="nearest")
    return Calibration(
        source=source,
        encounter_id_quantiles=[int(value) for value in quantiles],
        patient_nbr_range=(int(frame[PATIENT_ID].min()), int(frame[PATIENT_ID].max())),
        encounters_per_patient=_tally(frame[PATIENT_ID].value_counts()),
        mean_gap=round(float(gaps.mean()), 4),
        static={name: {str(k): n for k, n in _tally(as_text(frame[name])).items()} for name in STATIC_COLUMNS},
        by_decile={name: _cross(as_text(frame[name]), frame["decile"], DECILES) for name in DRIFTING_COLUMNS},
        admission_source={
            str(kind): {str(k): n for k, n in _tally(rows["admission_source_id"]).items()}
            for kind, rows in frame.groupby("admission_type_id")
        },
        counts={
            name: {int(value): rows for value, rows in _cross(frame[name], frame["position"], POSITIONS).items()}
            for name in COUNT_COLUMNS
        },
        count_drift={
            name: [round(float(mean), 4) for mean in scores[name].groupby(frame["decile"]).mean()]
            for name in COUNT_COLUMNS
        },
        count_correlation=[[round(float(value), 4) for value in row] for row in scores.corr().to_numpy()],
        regimens=_regimens(frame),
        doses={
            drug: {str(k): n for k, n in _tally(frame.loc[frame[drug] != "No", drug]).items()}
            for drug in DRUG_COLUMNS
            if (frame[drug] != "No").any()
        },
        rates={column: _rates(frame, column) for column in RATE_CAPS},
    )


def write_calibration(calibration: Calibration, path: Path) -> None:
    """Write a calibration as JSON with one line per column, so that a change reads well in a diff."""
    blocks = []
    for name, value in calibration.model_dump(mode="json").items():
        if isinstance(value, dict):
            rows = [f"    {json.dumps(key)}: {json.dumps(row)}" for key, row in value.items()]
            blocks.append(f"  {json.dumps(name)}: {{\n" + ",\n".join(rows) + "\n  }")
        else:
            blocks.append(f"  {json.dumps(name)}: {json.dumps(value)}")
    path.write_text("{\n" + ",\n".join(blocks) + "\n}\n", encoding="utf-8")


def _tally(values: pd.Series) -> dict[int, int]:
    """Count values, sorted by value; a Series of counts is counted as values too."""
    return {key: int(n) for key, n in values.value_counts().sort_index().items()}  # type: ignore[misc]


def _cross(values: pd.Series, groups: pd.Series, size: int) -> dict[str, list[int]]:
    table = pd.crosstab(values, groups).reindex(columns=range(size), fill_value=0)
    return {str(value): [int(n) for n in row] for value, row in zip(table.index, table.to_numpy(), strict=True)}


def _normal_scores(values: pd.Series) -> pd.Series:
    scores = ndtri((values.rank() - 0.5) / len(values))
    return pd.Series((scores - scores.mean()) / scores.std(), index=values.index)


def _regimens(frame: pd.DataFrame) -> list[tuple[list[str], int]]:
    drugs = np.array(DRUG_COLUMNS)
    rows, counts = np.unique((frame[list(DRUG_COLUMNS)] != "No").to_numpy(), axis=0, return_counts=True)
    found = [([str(drug) for drug in drugs[row]], int(n)) for row, n in zip(rows, counts, strict=True)]
    return sorted(found, key=lambda item: (-item[1], item[0]))


def _rates(frame: pd.DataFrame, column: str) -> dict[str, tuple[int, int, int]]:
    label = frame[LABEL]
    grouped = pd.DataFrame(
        {"any": label != Readmitted.NO.value, "early": label == Readmitted.WITHIN_30_DAYS.value}
    ).groupby(rate_key(frame, column))
    table = grouped.agg(["size", "sum"])
    rows = {
        str(value): (int(row[0]), int(row[1]), int(row[3]))
        for value, row in zip(table.index, table.to_numpy(), strict=True)
    }
    return {value: row for value, row in rows.items() if row[0] >= RATE_MIN_ROWS}
