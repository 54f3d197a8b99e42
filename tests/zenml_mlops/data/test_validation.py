"""The pandera schema and the row checks read one contract."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zenml_mlops.data.feed import MARKER_NAME
from zenml_mlops.data.landing import MARKER
from zenml_mlops.data.rows import (
    Reason,
    SchemaBrokenError,
    SeenIds,
    arrow_schema,
    check_file_schema,
    check_rows,
)
from zenml_mlops.data.validation import InvalidTrainingDataError, validate_training_data
from zenml_pipelines.use_case.contract import CONTRACT
from zenml_pipelines.use_case.schema import COLUMNS


def test_contract_is_the_one_of_the_feed():
    assert [rule.name for rule in CONTRACT.columns] == list(COLUMNS[:-1])
    assert MARKER == MARKER_NAME


def test_valid_training_data_passes(generated: pd.DataFrame):
    validate_training_data(generated, CONTRACT)


def test_empty_training_data_fails(generated: pd.DataFrame):
    with pytest.raises(InvalidTrainingDataError, match="no rows"):
        validate_training_data(generated.head(0), CONTRACT)


def test_all_broken_rules_are_listed_at_once(generated: pd.DataFrame):
    broken = generated.head(500).copy()
    broken.loc[3, "gender"] = "Robot"
    broken.loc[4, "time_in_hospital"] = 99
    broken.loc[5, "readmitted"] = "maybe"
    broken.loc[6, "encounter_id"] = broken.loc[7, "encounter_id"]
    with pytest.raises(InvalidTrainingDataError) as error:
        validate_training_data(broken.drop(columns="insulin"), CONTRACT)
    for name in ("gender", "Robot", "time_in_hospital", "99", "readmitted", "encounter_id", "insulin"):
        assert name in str(error.value)


def _batch(frame: pd.DataFrame) -> pa.RecordBatch:
    return pa.RecordBatch.from_pandas(frame, schema=arrow_schema(CONTRACT.columns), preserve_index=False)


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("gender", "Robot", Reason.UNKNOWN_VALUE),
        ("age", "[100-110)", Reason.UNKNOWN_VALUE),
        ("age", None, Reason.MISSING),
        ("insulin", "maybe", Reason.UNKNOWN_VALUE),
        ("time_in_hospital", 0, Reason.OUT_OF_RANGE),
        ("number_inpatient", -1, Reason.OUT_OF_RANGE),
        ("discharge_disposition_id", 11, Reason.OUT_OF_SCOPE),
        ("discharge_disposition_id", 13, Reason.OUT_OF_SCOPE),
        ("patient_nbr", None, Reason.MISSING),
        ("medical_specialty", "Astrology", None),
        ("admission_source_id", 999, None),
        ("payer_code", None, None),
        ("diag_1", "X99", None),
        ("race", None, None),
    ],
)
def test_row_rule(day_frame: pd.DataFrame, column, value, reason):
    frame = day_frame.head(5).astype(object)
    frame.loc[2, column] = value
    bad = check_rows(_batch(frame), CONTRACT, SeenIds())
    assert [c.reason for c in bad.get(2, [])] == ([reason] if reason else [])
    assert set(bad) <= {2}


def test_row_with_two_faults_names_both(day_frame: pd.DataFrame):
    frame = day_frame.head(3).copy()
    frame.loc[1, ["gender", "time_in_hospital"]] = ["Robot", 77]
    explained = "; ".join(c.text for c in check_rows(_batch(frame), CONTRACT, SeenIds())[1])
    assert "'Robot'" in explained
    assert "77" in explained


@given(st.lists(st.lists(st.integers(-20, 20), max_size=15), max_size=8))
def test_seen_ids_agree_with_a_set(batches):
    seen, known = SeenIds(), set()
    for batch in batches:
        expected = []
        for number in batch:
            expected.append(number in known)
            known.add(number)
        assert seen.repeated(np.array(batch, dtype=np.int64)).tolist() == expected


def test_missing_and_mistyped_columns_are_named_together():
    schema = CONTRACT
    found = arrow_schema(schema.columns).remove(2)
    found = found.set(found.get_field_index("number_inpatient"), pa.field("number_inpatient", pa.float64()))
    with pytest.raises(SchemaBrokenError, match=r"race is missing; number_inpatient is double"):
        check_file_schema(found, schema, "part-000.parquet")


def test_other_spellings_of_the_types_are_accepted():
    schema = CONTRACT
    found = arrow_schema(schema.columns)
    found = found.set(found.get_field_index("gender"), pa.field("gender", pa.dictionary(pa.int8(), pa.string())))
    found = found.set(found.get_field_index("weight"), pa.field("weight", pa.null()))
    check_file_schema(found.append(pa.field("note", pa.string())), schema, "part-000.parquet")
