"""Which rows a training run may see, and which are kept to be replayed as new ones.

The row id is the only order the data has. It grows with time within a group, so the highest ids are
the latest rows, and holding those out is what deploying a model on tomorrow's data looks like.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from zenml_mlops.data.errors import DataError


def holdout_boundary(row_ids: pd.Series, fraction: float) -> int:
    """Return the highest row id that a training run may see.

    Args:
        row_ids: Unique ids, in any order.
        fraction: Share of rows to hold out, in (0, 1); rounded to the nearest row, at least one.

    Returns:
        The id at or below which lie the training rows; the held-out ones lie strictly above.

    Raises:
        DataError: If the fraction is out of range, ids repeat, or fewer than two rows are given.
    """
    if not 0.0 < fraction < 1.0:
        raise DataError(f"The held-out fraction must lie between 0 and 1, exclusive; found {fraction}.")
    ids = np.sort(row_ids.to_numpy(dtype="int64"))
    if len(ids) < 2:
        raise DataError(f"A split needs at least two rows; found {len(ids)}.")
    if (np.diff(ids) == 0).any():
        raise DataError("The row ids are not unique, so no boundary separates training from held-out rows.")
    held_out = min(max(1, math.floor(len(ids) * fraction + 0.5)), len(ids) - 1)
    return int(ids[-held_out - 1])


def training_rows(rows: pd.DataFrame, row_id: str, fraction: float) -> pd.DataFrame:
    """Return the rows up to the boundary, in file order."""
    boundary = holdout_boundary(rows[row_id], fraction)
    return rows.loc[rows[row_id] <= boundary].reset_index(drop=True)


def feed_rows(rows: pd.DataFrame, row_id: str, fraction: float) -> pd.DataFrame:
    """Return the held-out rows, sorted by row id."""
    boundary = holdout_boundary(rows[row_id], fraction)
    held_out = rows.loc[rows[row_id] > boundary]
    return held_out.sort_values(row_id, kind="stable").reset_index(drop=True)
