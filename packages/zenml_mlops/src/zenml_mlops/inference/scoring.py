"""The one scoring function, for batches and for single requests."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]


class MissingFeaturesError(ValueError):
    """The input lacks columns that the model was trained with."""


@cache
def _pools() -> ThreadpoolController:
    """The thread pools of the loaded libraries; looking for them takes a tenth of a single request."""
    return ThreadpoolController()


def score(model: Any, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Compute the risk of every row.

    Args:
        model: The fitted scikit-learn Pipeline, preprocessing included.
        frame: n rows in the format of the model's feature schema; further columns are ignored.

    Returns:
        n probabilities of the event.

    Raises:
        MissingFeaturesError: If a column that the model was trained with is missing; all of them are named.
    """
    features = [str(name) for name in model.feature_names_in_]
    missing = [name for name in features if name not in frame.columns]
    if missing:
        raise MissingFeaturesError(
            f"The input lacks {len(missing)} of the {len(features)} columns that the model reads: {missing}. "
            "Compare it with the feature schema stored beside the model."
        )
    if frame.empty:
        return np.empty(0, dtype=np.float64)
    # One thread: see zenml_mlops.training.fitting.single_thread; batches are too small for more to pay.
    with _pools().limit(limits=1):
        return np.asarray(model.predict_proba(frame[features])[:, 1], dtype=np.float64)
