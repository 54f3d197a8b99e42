"""The contract of an encounter: which columns there are, of which type, and which values are accepted.

It serves three readers: the schema of the training data, the checks of the daily rows, and whoever scores with a
model, beside which it is stored. Source of the vocabularies: Strack et al. 2014 (doi 10.1155/2014/781670), table
1, and UCI dataset 296. A vocabulary is closed only where the source defines it as closed; elsewhere (specialties,
payers, diagnoses, admission codes) new values appear in practice and the model treats them as unknown.
"""

from __future__ import annotations

from typing import Final

from zenml_mlops.data.contract import ColumnRule, ColumnType, Contract, Exclusion
from zenml_pipelines.use_case.schema import (
    DRUG_COLUMNS,
    ENCOUNTER_ID,
    LABEL,
    NOT_MEASURED,
    PATIENT_ID,
    TERMINAL_DISPOSITIONS,
    Readmitted,
)

DISPOSITION: Final = "discharge_disposition_id"
DIAGNOSES: Final = ("diag_1", "diag_2", "diag_3")
AGE_BANDS: Final = tuple(f"[{low}-{low + 10})" for low in range(0, 100, 10))
DOSAGE_CHANGES: Final = ("No", "Down", "Steady", "Up")
"""What happened to a drug's dosage during the stay, in the order in which the features count it."""


def _count(name: str, minimum: int, maximum: int) -> ColumnRule:
    return ColumnRule(name=name, type=ColumnType.INTEGER, minimum=minimum, maximum=maximum)


def _code(name: str) -> ColumnRule:
    return ColumnRule(name=name, type=ColumnType.INTEGER, minimum=1)


def _identity(name: str) -> ColumnRule:
    return ColumnRule(name=name, type=ColumnType.INTEGER, minimum=1, feature=False)


def _open(name: str, *, feature: bool = True) -> ColumnRule:
    return ColumnRule(name=name, type=ColumnType.TEXT, required=False, feature=feature)


def _closed(name: str, *values: str, required: bool = True, feature: bool = True) -> ColumnRule:
    return ColumnRule(name=name, type=ColumnType.TEXT, required=required, values=values, feature=feature)


COLUMNS: Final[tuple[ColumnRule, ...]] = (
    _identity(ENCOUNTER_ID),
    _identity(PATIENT_ID),
    _open("race"),
    _closed("gender", "Female", "Male", "Unknown/Invalid"),
    _closed("age", *AGE_BANDS),
    _open("weight", feature=False),
    _code("admission_type_id"),
    _code(DISPOSITION),
    _code("admission_source_id"),
    # The longest stay in the source is 14 days by its inclusion criteria.
    _count("time_in_hospital", 1, 14),
    _open("payer_code"),
    _open("medical_specialty"),
    # Upper bounds of counts: generous room above the largest values of ten years (132, 6, 81, 42, 76, 21,
    # 16), so that only an entry error is refused.
    _count("num_lab_procedures", 0, 500),
    _count("num_procedures", 0, 50),
    _count("num_medications", 0, 300),
    _count("number_outpatient", 0, 365),
    _count("number_emergency", 0, 365),
    _count("number_inpatient", 0, 365),
    *(_open(name) for name in DIAGNOSES),
    _count("number_diagnoses", 1, 50),
    _closed("max_glu_serum", NOT_MEASURED, "Norm", ">200", ">300"),
    _closed("A1Cresult", NOT_MEASURED, "Norm", ">7", ">8"),
    *(_closed(name, *DOSAGE_CHANGES) for name in DRUG_COLUMNS),
    _closed("change", "No", "Ch"),
    _closed("diabetesMed", "No", "Yes"),
)
"""Every column of a daily partition, in order. The source data has the target after them."""

CONTRACT: Final = Contract(
    case="encounter",
    group="patient",
    row_id=ENCOUNTER_ID,
    group_id=PATIENT_ID,
    label=LABEL,
    labels=tuple(value.value for value in Readmitted),
    event=Readmitted.WITHIN_30_DAYS.value,
    # Nobody can be readmitted after these discharges.
    excluded=Exclusion(
        column=DISPOSITION, codes=TERMINAL_DISPOSITIONS, meaning="death or hospice: there is nothing to predict"
    ),
    columns=COLUMNS,
)
