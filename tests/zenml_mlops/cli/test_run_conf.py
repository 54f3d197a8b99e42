"""What a DAG run is triggered with, from what stands on a command line."""

from datetime import date

import pytest

from zenml_mlops.airflow_api.runs import run_conf
from zenml_mlops.cli.run import key_values

DAG = {
    "dag_id": "a_dag",
    "params": {
        "version": {"value": None, "schema": {"type": ["null", "integer"]}},
        "estimator": {"value": None, "schema": {"type": ["null", "string"]}},
        "anything": {"value": 1, "schema": {}},
    },
}


@pytest.mark.parametrize(
    ("items", "day", "conf"),
    [
        ([], None, {}),
        (["version=3"], None, {"version": 3}),
        (["estimator=3"], None, {"estimator": "3"}),
        (["anything=x=y"], None, {"anything": "x=y"}),
        ([], date(2026, 1, 5), {"date": "2026-01-05"}),
        (["date=2026-01-05"], None, {"date": "2026-01-05"}),
    ],
)
def test_params_get_the_types_that_the_dag_declares(items, day, conf):
    assert run_conf(DAG, day, key_values(items)) == conf


@pytest.mark.parametrize(
    ("items", "day", "message"),
    [
        (["versoin=3"], None, r"has no param 'versoin'. Known: \['anything', 'estimator', 'version'\]"),
        (["version=three"], None, "of type null or integer, found 'three'"),
        (["date=2026-01-05"], date(2026, 1, 5), "are the same"),
        (["version"], None, "KEY=VALUE"),
        (["=3"], None, "KEY=VALUE"),
    ],
)
def test_what_would_have_no_effect_is_refused(items, day, message):
    with pytest.raises(ValueError, match=message):
        run_conf(DAG, day, key_values(items))
