"""The model: one scikit-learn Pipeline from raw columns to a probability."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from zenml_mlops.configuration import ConfigError
from zenml_mlops.materializers import SkopsMaterializer
from zenml_mlops.training.config import TrainingConfig
from zenml_pipelines.use_case.features import CATEGORICAL_FEATURES, NUMERIC_FEATURES, RowFeatures


class RiskModelMaterializer(SkopsMaterializer):
    """Stores the model; vouches for this package's stateless feature transformer, which runs on data only."""

    SKIP_REGISTRATION: ClassVar[bool] = True
    TRUSTED_TYPES: ClassVar[frozenset[str]] = frozenset({"zenml_pipelines.use_case.features.RowFeatures"})


def build_model(config: TrainingConfig) -> Pipeline:
    """Assemble the untrained Pipeline: features, encoding of categories, estimator.

    A category that training did not see is missing for the trees and all-zero for the regression; both score it.

    Raises:
        ConfigError: If the configured estimator is none of those.
    """
    numeric, categorical = list(NUMERIC_FEATURES), list(CATEGORICAL_FEATURES)
    params = config.estimators[config.estimator]
    estimator: Any
    if config.estimator == "hist_gradient_boosting":
        # Categories go in as integers without being declared categorical: on this data that ranks as well,
        # and the declared kind would store a functools.partial, a type that a safe loader should not have to
        # trust.
        encode = OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=np.nan, min_frequency=config.min_category_frequency
        )
        columns = [("categories", encode, categorical), ("numbers", "passthrough", numeric)]
        estimator = HistGradientBoostingClassifier(**params, random_state=config.seed)
    elif config.estimator == "logistic_regression":
        encode = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=config.min_category_frequency)
        columns = [("categories", encode, categorical), ("numbers", StandardScaler(), numeric)]
        estimator = LogisticRegression(**params, random_state=config.seed)
    else:
        raise ConfigError(f"No estimator {config.estimator!r} is known: add it to build_model.")
    return Pipeline(
        [("features", RowFeatures()), ("encode", ColumnTransformer(columns)), ("estimator", estimator)]
    )
