"""From a row to the model's features, inside the scikit-learn Pipeline.

Everything is stateless here, so batch and real-time scoring cannot differ: what is learned from data
(categories, scales) is learned by the stock transformers that follow. Add your features in ``transform``, and
their names to ``NUMERIC_FEATURES`` or ``CATEGORICAL_FEATURES``.
"""

from __future__ import annotations

from typing import Any, Final, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

from zenml_mlops.data.contract import ColumnType
from zenml_pipelines.use_case import CONTRACT

TEXTS: Final = tuple(rule.name for rule in CONTRACT.columns if rule.feature and rule.type is ColumnType.TEXT)
NUMERIC_FEATURES: Final = tuple(name for name in CONTRACT.features if name not in TEXTS)
CATEGORICAL_FEATURES: Final = TEXTS


class RowFeatures(TransformerMixin, BaseEstimator):
    """Turn raw columns into ``NUMERIC_FEATURES`` and ``CATEGORICAL_FEATURES``.

    Input: a frame of n rows with at least the columns that the contract marks as features. Output: a frame of
    n rows; numeric features are ``float64``, categorical ones text with ``missing`` for a missing value. An id is
    never a feature.
    """

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:
        """Learn nothing; record the columns for scikit-learn's own checks."""
        self.n_features_in_ = X.shape[1]
        self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Compute the features of every row."""
        columns: dict[str, Any] = {name: X[name].astype("float64") for name in NUMERIC_FEATURES}
        for name in TEXTS:
            columns[name] = X[name].astype("object").where(X[name].notna(), "missing")
        return pd.DataFrame(columns, index=X.index)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray[Any, np.dtype[Any]]:
        """Names of the features, in order."""
        return np.asarray([*NUMERIC_FEATURES, *CATEGORICAL_FEATURES], dtype=object)
