"""Columns of floating-point numbers, which the example has none of, and projects made from a table have."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from zenml_mlops.data.contract import ColumnRule, ColumnType, Contract
from zenml_mlops.data.profile import Kind, profile_rows
from zenml_mlops.data.rows import Reason, SchemaBrokenError, SeenIds, arrow_schema, check_file_schema, check_rows
from zenml_mlops.serving.schema import InvalidRequestError, RequestContract
from zenml_pipelines.use_case.contract import CONTRACT
from zenml_pipelines.use_case.features import GROUPING

# `check_rows` looks at the id, and at the column that excludes rows.
NEEDED = [
    rule
    for rule in CONTRACT.columns
    if rule.name in {CONTRACT.row_id, CONTRACT.excluded.column if CONTRACT.excluded else CONTRACT.row_id}
]
SIZE = ColumnRule(name="size", type=ColumnType.NUMBER, minimum=0.5, maximum=9.5)
WEIGHT = ColumnRule(name="weight_kg", type=ColumnType.NUMBER, required=False)
SCHEMA = CONTRACT.model_copy(update={"columns": (*NEEDED, SIZE, WEIGHT)})


def batch(**columns):
    rows = len(next(iter(columns.values())))
    values = {rule.name: list(range(1, rows + 1)) for rule in NEEDED} | {"weight_kg": [None] * rows} | columns
    return pa.RecordBatch.from_pydict(values, schema=arrow_schema(SCHEMA.columns))


def test_what_is_missing_or_out_of_range_is_refused_and_its_row_named():
    found = check_rows(batch(size=[0.5, 9.5, 0.4999, 9.6, None, float("nan"), float("inf")]), SCHEMA, SeenIds())
    reasons = {row: [complaint.reason for complaint in complaints] for row, complaints in found.items()}
    assert reasons == {
        2: [Reason.OUT_OF_RANGE],
        3: [Reason.OUT_OF_RANGE],
        4: [Reason.MISSING],
        5: [Reason.MISSING],
        6: [Reason.OUT_OF_RANGE],
    }


def test_a_file_of_whole_numbers_is_one_of_numbers_and_a_text_is_none():
    whole = arrow_schema(SCHEMA.columns).set(SCHEMA.columns.index(SIZE), pa.field("size", pa.int32()))
    check_file_schema(whole, SCHEMA, "part")
    text = arrow_schema(SCHEMA.columns).set(SCHEMA.columns.index(SIZE), pa.field("size", pa.string()))
    with pytest.raises(SchemaBrokenError, match="size is string, expected number"):
        check_file_schema(text, SCHEMA, "part")


def test_the_stored_contract_comes_back_as_it_was():
    assert Contract.model_validate_json(SCHEMA.model_dump_json()) == SCHEMA


def row(**values):
    return {rule.name: 1 for rule in NEEDED} | {"size": 1.25} | values


def body(*rows):
    return json.dumps({"rows": rows}).encode()


def test_a_request_may_give_a_whole_number_and_not_a_text_or_one_out_of_range():
    contract = RequestContract(SCHEMA, most_rows=10)
    assert [one["size"] for one in contract.parse(body(row(size=2), row(**{CONTRACT.row_id: 2}, size=2.5)))] == [
        2,
        2.5,
    ]
    assert contract.parse(body(row(weight_kg=None)))
    for value in ("2.5", 0.1, 10, None, True):
        with pytest.raises(InvalidRequestError) as refused:
            contract.parse(body(row(size=value)))
        assert {problem.column for problem in refused.value.problems} == {"size"}
    contract.parse(body(contract.example()))


def test_a_profile_counts_first_digits_and_holds_few_values():
    sizes = np.random.default_rng(0).lognormal(0, 1, 20_000)
    sizes[:3] = [0.0, -1234.5, 0.00123456]
    frame = pd.DataFrame({rule.name: 1 for rule in NEEDED} | {"size": sizes, "weight_kg": np.nan})
    found = profile_rows([frame], SCHEMA, GROUPING, []).features
    size = found["size"]
    assert size.kind is Kind.NUMERIC
    assert size.present == 20_000
    assert found["weight_kg"].missing == 20_000
    values = np.array([float(value) for value in size.counts])
    assert {0.0, -1230.0} <= set(values.round(6))
    assert len(values) < 3_000
    nearest = np.abs(values[:, None] - sizes[3:50]).min(axis=0)
    assert (nearest <= np.abs(sizes[3:50]) * 0.006).all()
