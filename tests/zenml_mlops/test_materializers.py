"""Artifacts that run no code when they are loaded."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from zenml.client import Client

from zenml_mlops.materializers import (
    CorruptArtifactError,
    ParquetMaterializer,
    SkopsMaterializer,
    UntrustedTypeError,
)


class Homemade(BaseEstimator):
    """An estimator that nobody vouched for."""

    def __init__(self, depth: int = 1) -> None:
        self.depth = depth


class Vouching(SkopsMaterializer):
    SKIP_REGISTRATION: ClassVar[bool] = True
    TRUSTED_TYPES: ClassVar[frozenset[str]] = frozenset({f"{Homemade.__module__}.Homemade"})


@pytest.fixture
def folder() -> str:
    """A place inside the artifact store, which refuses any other."""
    store = Client().active_stack.artifact_store
    from uuid import uuid4

    path = f"{store.path}/materializers/{uuid4().hex}"
    store.makedirs(path)
    return path


@pytest.mark.parametrize("estimator", [HistGradientBoostingClassifier(max_iter=5), LogisticRegression()])
def test_estimators_survive_the_round_trip(folder: str, estimator):
    x = np.random.default_rng(0).normal(size=(200, 3))
    model = make_pipeline(StandardScaler(), estimator).fit(x, x[:, 0] > 0)
    SkopsMaterializer(folder).save(model)
    loaded = SkopsMaterializer(folder).load(Pipeline)
    assert np.array_equal(loaded.predict_proba(x), model.predict_proba(x))


def test_untrusted_type_is_refused_by_name_when_saving(folder: str):
    with pytest.raises(UntrustedTypeError, match="Homemade"):
        SkopsMaterializer(folder).save(Homemade())
    assert not list(Path(folder).iterdir())


def test_untrusted_type_is_refused_by_name_when_loading(folder: str):
    Vouching(folder).save(Homemade(3))
    assert Vouching(folder).load(Homemade).depth == 3
    with pytest.raises(UntrustedTypeError, match="Homemade"):
        SkopsMaterializer(folder).load(BaseEstimator)


def test_arbitrary_functions_are_refused(folder: str):
    import os

    with pytest.raises(UntrustedTypeError, match="system"):
        SkopsMaterializer(folder).save(FunctionTransformer(os.system))


def test_changed_model_is_refused(folder: str):
    SkopsMaterializer(folder).save(StandardScaler())
    file = Path(folder) / "model.skops"
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(CorruptArtifactError, match="changed or cut off"):
        SkopsMaterializer(folder).load(StandardScaler)


def test_another_class_than_asked_for_is_refused(folder: str):
    SkopsMaterializer(folder).save(StandardScaler())
    with pytest.raises(UntrustedTypeError, match="StandardScaler, not a Pipeline"):
        SkopsMaterializer(folder).load(Pipeline)


def test_frames_keep_types_and_missing_values(folder: str):
    frame = pd.DataFrame({"id": [1, 2], "text": ["None", np.nan], "share": [0.5, np.nan]})
    ParquetMaterializer(folder).save(frame)
    loaded = ParquetMaterializer(folder).load(pd.DataFrame)
    assert loaded["id"].dtype == "int64"
    assert loaded["text"].isna().tolist() == [False, True]
    assert loaded["text"][0] == "None"


def test_importing_changes_no_default():
    from zenml.materializers.materializer_registry import materializer_registry

    assert materializer_registry[pd.DataFrame] is not ParquetMaterializer
    assert SkopsMaterializer not in materializer_registry.materializer_types.values()
