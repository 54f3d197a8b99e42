from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zenml_mlops.data.errors import DataError
from zenml_mlops.data.holdout import feed_rows, holdout_boundary, training_rows
from zenml_pipelines.use_case.contract import CONTRACT


@given(
    ids=st.lists(st.integers(0, 10**9), min_size=2, max_size=200, unique=True),
    fraction=st.floats(0.001, 0.999),
)
def test_the_split_is_disjoint_exhaustive_and_ordered(ids: list[int], fraction: float) -> None:
    frame = pd.DataFrame({"encounter_id": ids, "row": range(len(ids))})
    training, held_out = (
        training_rows(frame, CONTRACT.row_id, fraction),
        feed_rows(frame, CONTRACT.row_id, fraction),
    )
    assert sorted([*training["row"], *held_out["row"]]) == list(range(len(ids)))
    boundary = holdout_boundary(frame["encounter_id"], fraction)
    assert training["encounter_id"].max() == boundary < held_out["encounter_id"].min()
    assert held_out["encounter_id"].is_monotonic_increasing
    assert training["row"].is_monotonic_increasing
    assert abs(len(held_out) - fraction * len(ids)) <= 1


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_a_fraction_out_of_range_is_refused(fraction: float) -> None:
    with pytest.raises(DataError, match="between 0 and 1"):
        holdout_boundary(pd.Series([1, 2, 3]), fraction)


def test_repeated_ids_are_refused() -> None:
    with pytest.raises(DataError, match="not unique"):
        holdout_boundary(pd.Series([1, 1, 3]), 0.5)


def test_one_encounter_cannot_be_split() -> None:
    with pytest.raises(DataError, match="at least two"):
        holdout_boundary(pd.Series([1]), 0.5)
