from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from zenml_mlops.data.errors import DataError
from zenml_mlops.data.files import sha256_of
from zenml_mlops.data.holdout import feed_rows, training_rows
from zenml_pipelines.use_case.contract import CONTRACT
from zenml_pipelines.use_case.schema import (
    COLUMNS,
    DEATH_DISPOSITIONS,
    DRUG_COLUMNS,
    HOSPICE_DISPOSITIONS,
    INTEGER_COLUMNS,
    PUBLISHED_SHA256,
    TERMINAL_DISPOSITIONS,
    read_ids_mapping,
    read_rows,
)


def test_vocabulary() -> None:
    assert len(COLUMNS) == len(set(COLUMNS)) == 50
    assert len(DRUG_COLUMNS) == 23
    assert sorted(TERMINAL_DISPOSITIONS) == [11, 13, 14, 19, 20, 21]
    assert not DEATH_DISPOSITIONS & HOSPICE_DISPOSITIONS


def test_the_published_file_is_the_one_that_the_digest_names(real_csv: Path) -> None:
    assert sha256_of(real_csv) == PUBLISHED_SHA256


def test_shape_and_ids(real: pd.DataFrame) -> None:
    assert real.shape == (101_766, 50)
    assert tuple(real.columns) == COLUMNS
    assert real["encounter_id"].is_unique
    assert real["patient_nbr"].nunique() == 71_518
    assert not real["encounter_id"].is_monotonic_increasing


def test_carriage_returns_end_lines_and_not_values(real_csv: Path, real: pd.DataFrame) -> None:
    assert real_csv.read_bytes().endswith(b"NO\r\n")
    assert set(real["readmitted"]) == {"NO", ">30", "<30"}


def test_question_marks_are_missing(real: pd.DataFrame) -> None:
    missing = real.isna().sum()
    assert missing[missing > 0].to_dict() == {
        "race": 2_273,
        "weight": 98_569,
        "payer_code": 40_256,
        "medical_specialty": 49_949,
        "diag_1": 21,
        "diag_2": 358,
        "diag_3": 1_423,
    }
    assert not (real.select_dtypes("object") == "?").any().any()


def test_none_means_not_measured_and_is_not_missing(real: pd.DataFrame) -> None:
    assert (real["max_glu_serum"] == "None").sum() == 96_420
    assert (real["A1Cresult"] == "None").sum() == 84_748


def test_diagnoses_are_text(real: pd.DataFrame) -> None:
    codes = set(real["diag_1"].dropna())
    assert {"38", "250.01", "V57"} <= codes
    assert all(isinstance(code, str) for code in codes)


def test_ids_and_counts_are_integers(real: pd.DataFrame) -> None:
    assert {name for name in real if real[name].dtype == "int64"} == INTEGER_COLUMNS


def test_label_counts_and_terminal_rows(real: pd.DataFrame) -> None:
    assert real["readmitted"].value_counts().to_dict() == {"NO": 54_864, ">30": 35_545, "<30": 11_357}
    assert real["discharge_disposition_id"].isin(TERMINAL_DISPOSITIONS).sum() == 2_423


def test_diabetes_medication_is_yes_exactly_when_a_drug_is_on(real: pd.DataFrame) -> None:
    on = (real[list(DRUG_COLUMNS)] != "No").any(axis=1)
    assert ((real["diabetesMed"] == "Yes") == on).all()


def test_no_training_row_comes_after_a_held_out_one(real: pd.DataFrame) -> None:
    """A later row of the same patient almost gives the target away."""
    training, held_out = training_rows(real, CONTRACT.row_id, 0.1), feed_rows(real, CONTRACT.row_id, 0.1)
    assert training["encounter_id"].max() < held_out["encounter_id"].min()
    assert len(held_out) == 10_177


def test_mapping_is_three_stacked_tables(real_dir: Path) -> None:
    tables = read_ids_mapping(next(real_dir.rglob("IDS_mapping.csv")))
    assert {name: len(table) for name, table in tables.items()} == {
        "admission_type_id": 8,
        "discharge_disposition_id": 30,
        "admission_source_id": 25,
    }
    assert tables["admission_type_id"][6] == "NULL"
    assert tables["discharge_disposition_id"][19] == "Expired at home. Medicaid only, hospice."
    assert tables["admission_source_id"][7] == "Emergency Room"


def test_every_code_of_the_data_is_described(real: pd.DataFrame, real_dir: Path) -> None:
    for column, table in read_ids_mapping(next(real_dir.rglob("IDS_mapping.csv"))).items():
        assert set(real[column]) <= set(table)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a,b\r\n1,2\r\n", "does not have the 50 published columns"),
        (",".join(COLUMNS) + "\r\n" + ",".join("x" * 50) + "\r\n", "ids and counts are integers"),
        (",".join(COLUMNS) + "\r\n" + ",".join("?" * 50) + "\r\n", "ids and counts are integers"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "diabetic_data.csv"
    path.write_text(text, encoding="utf-8", newline="")
    with pytest.raises(DataError, match=problem):
        read_rows(path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("admission_type_id,description\n1,Emergency\n", "holds the tables"),
        ("admission_type_id,description\none,Emergency\n", "line 2 has the code 'one'"),
        ("admission_type_id,description\n1,a,b\n", "line 2 has 3 fields"),
    ],
)
def test_another_mapping_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "IDS_mapping.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=problem):
        read_ids_mapping(path)
