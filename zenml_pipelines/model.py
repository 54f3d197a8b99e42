"""The model: one scikit-learn Pipeline from raw columns to a probability."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from zenml_mlops.materializers import SkopsMaterializer
from zenml_pipelines.config import Estimator, TrainingConfig
from zenml_pipelines.features import CATEGORICAL_FEATURES, NUMERIC_FEATURES, RowFeatures


@contextmanager
def single_thread() -> Iterator[None]:
    """Keep OpenMP to one thread.

    Its threads wait for each other by spinning, and tasks on an Airflow worker share cores. Measured on 2
    cores with 66,000 training rows: 4.1 s with one thread, 2.6 s with two; with one other busy process 4.2 s
    and 67 s.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=1):
        yield


class RiskModelMaterializer(SkopsMaterializer):
    """Stores the model; vouches for this package's stateless feature transformer, which runs on data only."""

    SKIP_REGISTRATION: ClassVar[bool] = True
    TRUSTED_TYPES: ClassVar[frozenset[str]] = frozenset({"zenml_pipelines.features.RowFeatures"})


def build_model(config: TrainingConfig) -> Pipeline:
    """Assemble the untrained Pipeline: features, encoding of categories, estimator.

    A category that training did not see is missing for the trees and all-zero for the regression; both score
    it.
    """
    numeric, categorical = list(NUMERIC_FEATURES), list(CATEGORICAL_FEATURES)
    estimator: Any
    if config.estimator is Estimator.HIST_GRADIENT_BOOSTING:
        # Categories go in as integers without being declared categorical: on this data that ranks as well,
        # and the declared kind would store a functools.partial, a type that a safe loader should not have to
        # trust.
        encode = OrdinalEncoder(
            handle_unknown="use_encoded_value",
            unknown_value=np.nan,
            min_frequency=config.min_category_frequency,
        )
        columns = [("categories", encode, categorical), ("numbers", "passthrough", numeric)]
        estimator = HistGradientBoostingClassifier(
            **config.hist_gradient_boosting.model_dump(), random_state=config.seed
        )
    else:
        encode = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=config.min_category_frequency)
        columns = [("categories", encode, categorical), ("numbers", StandardScaler(), numeric)]
        estimator = LogisticRegression(**config.logistic_regression.model_dump(), random_state=config.seed)
    return Pipeline(
        [("features", RowFeatures()), ("encode", ColumnTransformer(columns)), ("estimator", estimator)]
    )


def fit_model(
    model: Pipeline,
    frame: pd.DataFrame,
    labels: pd.Series,
    before_estimator: Callable[[], None] | None = None,
) -> None:
    """Fit the Pipeline in place, as ``model.fit`` does, with a hook before its last part.

    An experiment tracker that starts there scores the estimator on the prepared matrix. Started earlier it
    would prepare all training rows again for each of its six training scores.

    Args:
        model: The Pipeline.
        frame: n rows with the features of the contract.
        labels: n labels, 0 or 1.
        before_estimator: Called when the rows are prepared.
    """
    prepared = model[:-1].fit_transform(frame, labels)
    if before_estimator is not None:
        before_estimator()
    with single_thread():
        model[-1].fit(prepared, labels)
