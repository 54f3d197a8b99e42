"""A ZenML of its own for the session, generated encounters, and a runner for both pipelines."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from labs import REAL_DATA
from labs.model_bench import Bench, fit, quick_config
from labs.pipeline_workspace import ROWS, Workspace, land, settings
from zenml_mlops.inference.config import BatchInferenceConfig
from zenml_pipelines.config import TrainingConfig
from zenml_pipelines.use_case.contract import CONTRACT


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Encounters of the seeded generator, as the loader reads them."""
    from zenml_pipelines.use_case.schema import read_rows
    from zenml_pipelines.use_case.synthetic import generate

    path = tmp_path_factory.mktemp("generated") / "diabetic_data.csv"
    pd.concat(generate(ROWS, seed=7)).to_csv(path, index=False, na_rep="?")
    return read_rows(path)


@pytest.fixture(scope="session")
def day_frame(generated: pd.DataFrame) -> pd.DataFrame:
    """100 encounters as a partition holds them: no label, all of them can be readmitted."""

    return generated.loc[CONTRACT.in_scope(generated)].drop(columns="readmitted").head(100).reset_index(drop=True)


@pytest.fixture(scope="session")
def small_workspace(tmp_path_factory: pytest.TempPathFactory, generated: pd.DataFrame) -> Workspace:
    """Trains quickly on generated encounters, with the gates open: what is tested is not the model."""
    root = tmp_path_factory.mktemp("small")
    (root / "raw").mkdir()
    generated.to_csv(root / "raw" / "diabetic_data.csv", index=False, na_rep="?")
    config = TrainingConfig.from_settings(settings()).model_dump()
    config["model_name"] = "generated_model"
    config["estimators"]["hist_gradient_boosting"] |= {"max_iter": 10}
    config["bootstrap"] |= {"resamples": 20}
    config["examination"]["stability"] |= {"rows": 1000}
    config["data_gates"] = {"open": {"metric": "rows", "judge": "value", "minimum": 1, "why": "Any data."}}
    config["gates"] = {"open": {"metric": "roc_auc", "judge": "value", "minimum": 0.0, "why": "Any model."}}
    batch = BatchInferenceConfig.from_settings(settings()).model_copy(
        update={"model_name": "generated_model", "batch_rows": 32}
    )
    return Workspace(root, TrainingConfig.model_validate(config), batch)


@pytest.fixture(scope="session")
def in_production(small_workspace: Workspace) -> Workspace:
    """The small workspace with version 1 in production."""
    from zenml_mlops.promotion import latest_candidate, promote

    small_workspace.train()
    version = latest_candidate("generated_model")
    assert version is not None
    promote("generated_model", version)
    return small_workspace


@pytest.fixture
def workspace(in_production: Workspace, tmp_path: Path) -> Workspace:
    """An empty storage root; the production model is shared."""
    return in_production.moved(tmp_path)


@pytest.fixture
def lander(workspace: Workspace, day_frame: pd.DataFrame) -> Callable[[date], Path]:
    return lambda day: land(workspace.landing, day, day_frame)


@pytest.fixture(scope="session")
def real_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage root with the published file."""
    import zipfile

    if not REAL_DATA.is_file():
        pytest.skip("the published archive is not here: set DIABETES130_ZIP to it")
    root = tmp_path_factory.mktemp("published")
    with zipfile.ZipFile(REAL_DATA) as archive:
        archive.extractall(root / "unpacked")
    found = next((root / "unpacked").rglob("diabetic_data.csv"))
    (root / "raw").mkdir()
    found.rename(root / "raw" / "diabetic_data.csv")
    return root


@pytest.fixture(scope="session")
def bench(real_root: Path) -> Bench:
    """The published encounters of a fifth of the patients; `test_training` judges the model of all of them."""
    from zenml_mlops.data.holdout import training_rows
    from zenml_mlops.training.splitting import split_in_time
    from zenml_pipelines.use_case.schema import PATIENT_ID, read_rows

    config = quick_config()
    rows = training_rows(
        read_rows(real_root / "raw" / "diabetic_data.csv"), CONTRACT.row_id, config.holdout_fraction
    )
    train, test = split_in_time(rows.loc[rows[PATIENT_ID] % 5 == 0], CONTRACT, config.test_fraction)
    return Bench(config, train, test, fit(config, train))
