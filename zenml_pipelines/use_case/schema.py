"""The columns of the published encounters, and the one way to read them.

Source: UCI dataset 296, doi 10.24432/C5230J (Clore, Cios, DeShazo, Strack 2014, CC BY 4.0).
"""

from __future__ import annotations

import csv
import io
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from zenml_mlops.data.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

CSV_NAME: Final = "diabetic_data.csv"
MAPPING_NAME: Final = "IDS_mapping.csv"

PUBLISHED_SHA256: Final = "0689e7ec031237dc63031b938805c48377748761a3b26acab621567afa24df97"
"""sha256 of ``diabetic_data.csv`` as UCI publishes it, whatever archive it comes in."""

MISSING: Final = "?"
NOT_MEASURED: Final = "None"
"""A value of ``max_glu_serum`` and ``A1Cresult``: the test was not done, which is not the same as missing."""


class Readmitted(StrEnum):
    """Values of the label: not readmitted, within 30 days, later."""

    NO = "NO"
    WITHIN_30_DAYS = "<30"
    LATER = ">30"


LABEL: Final = "readmitted"
ENCOUNTER_ID: Final = "encounter_id"
PATIENT_ID: Final = "patient_nbr"

DRUG_COLUMNS: Final[tuple[str, ...]] = (
    "metformin", "repaglinide", "nateglinide", "chlorpropamide", "glimepiride", "acetohexamide", "glipizide",
    "glyburide", "tolbutamide", "pioglitazone", "rosiglitazone", "acarbose", "miglitol", "troglitazone",
    "tolazamide", "examide", "citoglipton", "insulin", "glyburide-metformin", "glipizide-metformin",
    "glimepiride-pioglitazone", "metformin-rosiglitazone", "metformin-pioglitazone",
)  # fmt: skip

COLUMNS: Final[tuple[str, ...]] = (
    ENCOUNTER_ID, PATIENT_ID, "race", "gender", "age", "weight", "admission_type_id", "discharge_disposition_id",
    "admission_source_id", "time_in_hospital", "payer_code", "medical_specialty", "num_lab_procedures",
    "num_procedures", "num_medications", "number_outpatient", "number_emergency", "number_inpatient", "diag_1",
    "diag_2", "diag_3", "number_diagnoses", "max_glu_serum", "A1Cresult", *DRUG_COLUMNS, "change", "diabetesMed",
    LABEL,
)  # fmt: skip

COUNT_COLUMNS: Final[tuple[str, ...]] = (
    "time_in_hospital", "num_lab_procedures", "num_procedures", "num_medications", "number_outpatient",
    "number_emergency", "number_inpatient", "number_diagnoses",
)  # fmt: skip

MAPPING_TABLES: Final[tuple[str, ...]] = ("admission_type_id", "discharge_disposition_id", "admission_source_id")
INTEGER_COLUMNS: Final[frozenset[str]] = frozenset({ENCOUNTER_ID, PATIENT_ID, *MAPPING_TABLES, *COUNT_COLUMNS})

DEATH_DISPOSITIONS: Final[frozenset[int]] = frozenset({11, 19, 20, 21})
HOSPICE_DISPOSITIONS: Final[frozenset[int]] = frozenset({13, 14})
TERMINAL_DISPOSITIONS: Final[frozenset[int]] = DEATH_DISPOSITIONS | HOSPICE_DISPOSITIONS
"""Discharges after which a readmission is no outcome to predict: the patient died or went to a hospice."""


def read_rows(path: Path) -> pd.DataFrame:
    """Read the encounters from the published CSV dialect.

    ``?`` becomes missing. The word ``None`` stays a value: pandas would otherwise read it as missing and merge
    "not measured" into it. Diagnosis codes stay text, because ``38`` is ICD-9 038 and ``V57`` is no number.

    Args:
        path: A CSV file with the published header.

    Returns:
        One row per encounter in file order, 50 columns; ids and counts ``int64``, the rest ``object`` holding
        ``str`` or ``NaN``.

    Raises:
        DataError: If the header differs, or an id or count is not an integer.
    """
    # Whoever only asks what the use case is needs no pandas.
    import pandas as pd

    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        header = tuple(file.readline().rstrip("\r\n").split(","))
    if header != COLUMNS:
        unknown = sorted(set(header) - set(COLUMNS))
        missing = sorted(set(COLUMNS) - set(header))
        raise DataError(
            f"{path.name} does not have the {len(COLUMNS)} published columns in their order: missing "
            f"{missing}, unknown {unknown}. Fetch it again with `mlops data fetch`."
        )
    try:
        return pd.read_csv(
            path,
            dtype={name: "int64" if name in INTEGER_COLUMNS else "object" for name in COLUMNS},
            keep_default_na=False,
            na_values=MISSING,
        )
    except ValueError as error:
        raise DataError(
            f"{path.name} holds a row that is no encounter ({error}): ids and counts are integers."
        ) from error


def read_ids_mapping(path: Path) -> dict[str, dict[int, str]]:
    """Read the code descriptions, published as three tables stacked in one file.

    Returns:
        Per column of :data:`MAPPING_TABLES`, the description of each code, without surrounding blanks. The
        word ``NULL`` is kept: it is what the hospitals recorded.

    Raises:
        DataError: If the three tables are not there or a code is not an integer.
    """
    tables: dict[str, dict[int, str]] = {}
    current: dict[int, str] = {}
    text = path.read_text(encoding="utf-8", errors="replace")
    for number, row in enumerate(csv.reader(io.StringIO(text)), start=1):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != 2:
            raise DataError(f"{path.name} line {number} has {len(row)} fields; a code and a description make two.")
        code, description = (cell.strip() for cell in row)
        if description == "description":
            current = tables.setdefault(code, {})
        elif code.isdigit():
            current[int(code)] = description
        else:
            raise DataError(f"{path.name} line {number} has the code {code!r}, which is no integer.")
    if tuple(tables) != MAPPING_TABLES:
        raise DataError(f"{path.name} holds the tables {list(tables)}; expected {list(MAPPING_TABLES)}.")
    return tables
