"""Which encounters a training run may see, and which are kept to be replayed as new ones.

``encounter_id`` is the only order the data has. It grows with time within a patient, so the highest ids are
the latest encounters, and holding those out is what deploying a model on tomorrow's data looks like.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from zenml_pipelines.data.errors import DataError
from zenml_pipelines.data.schema import ENCOUNTER_ID


def holdout_boundary(encounter_ids: pd.Series, fraction: float) -> int:
    """Return the highest ``encounter_id`` that a training run may see.

    Args:
        encounter_ids: Unique ids, in any order.
        fraction: Share of encounters to hold out, in (0, 1); rounded to the nearest encounter, at least one.

    Returns:
        The id at or below which lie the training encounters; the held-out ones lie strictly above.

    Raises:
        DataError: If the fraction is out of range, ids repeat, or fewer than two encounters are given.
    """
    if not 0.0 < fraction < 1.0:
        raise DataError(f"The held-out fraction must lie between 0 and 1, exclusive; found {fraction}.")
    ids = np.sort(encounter_ids.to_numpy(dtype="int64"))
    if len(ids) < 2:
        raise DataError(f"A split needs at least two encounters; found {len(ids)}.")
    if (np.diff(ids) == 0).any():
        raise DataError("The encounter ids are not unique, so no boundary separates training from held-out rows.")
    held_out = min(max(1, math.floor(len(ids) * fraction + 0.5)), len(ids) - 1)
    return int(ids[-held_out - 1])


def training_rows(encounters: pd.DataFrame, fraction: float) -> pd.DataFrame:
    """Return the encounters up to the boundary, in file order."""
    boundary = holdout_boundary(encounters[ENCOUNTER_ID], fraction)
    return encounters.loc[encounters[ENCOUNTER_ID] <= boundary].reset_index(drop=True)


def feed_rows(encounters: pd.DataFrame, fraction: float) -> pd.DataFrame:
    """Return the held-out encounters, sorted by ``encounter_id``."""
    boundary = holdout_boundary(encounters[ENCOUNTER_ID], fraction)
    held_out = encounters.loc[encounters[ENCOUNTER_ID] > boundary]
    return held_out.sort_values(ENCOUNTER_ID, kind="stable").reset_index(drop=True)
