"""Two versions of a model in a ZenML of its own, made by the training pipeline on generated encounters."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from labs.pipeline_workspace import ROWS, Workspace, settings
from serving_lab import MODEL, open_workspace, to_row

from zenml_mlops.serving.config import ServingConfig, build_serving_config
from zenml_pipelines.use_case.contract import CONTRACT


@pytest.fixture(scope="session", autouse=True)
def spared_collector() -> Iterator[None]:
    """Keep the test process's own million objects, through which each new version would look for a second, frozen.

    The service in a process of its own, see `test_command.py`, does as it is.
    """
    own = SimpleNamespace(unfreeze=lambda: None, collect=gc.collect, freeze=gc.freeze)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zenml_mlops.serving.switch.gc", own)
        gc.freeze()
        yield
        gc.unfreeze()


@pytest.fixture(scope="session")
def generated_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from zenml_pipelines.use_case.synthetic import generate

    path = tmp_path_factory.mktemp("generated") / "diabetic_data.csv"
    pd.concat(generate(ROWS, seed=11)).to_csv(path, index=False, na_rep="?")
    return path


@pytest.fixture(scope="session")
def two_versions(tmp_path_factory: pytest.TempPathFactory, generated_csv: Path) -> Workspace:
    """Versions 1 and 2; the second has other trees, so that it answers differently."""
    workspace = open_workspace(tmp_path_factory.mktemp("serving"), generated_csv, MODEL)
    workspace.train()
    estimators = workspace.training.model_dump()["estimators"]
    estimators["hist_gradient_boosting"] |= {"max_iter": 25}
    workspace.train(workspace.training.model_copy(update={"estimators": estimators}))
    return workspace


@pytest.fixture(scope="session")
def put(two_versions: Workspace) -> Callable[[int], None]:
    """Puts a version into production, if it is not there."""
    from zenml_mlops.inference.champion import NoChampionError, find_champion
    from zenml_mlops.promotion import promote

    def put_version(number: int) -> None:
        try:
            now = find_champion(MODEL, "production").version
        except NoChampionError:
            now = 0
        if now != number:
            promote(MODEL, number)

    return put_version


@pytest.fixture
def first(put: Callable[[int], None]) -> Iterator[None]:
    """Version 1 is in production when the test begins and ends."""
    put(1)
    yield
    put(1)


@pytest.fixture(scope="session")
def config() -> ServingConfig:
    """The shipped configuration, for the generated model, on a free port, with a rate that stops no test."""
    shipped = build_serving_config(settings(), model_name=MODEL, port=0, poll_seconds=0.05)
    rate = shipped.rate.model_copy(update={"per_second": 1e6, "burst": 10**6})
    return shipped.model_copy(update={"rate": rate})


@pytest.fixture(scope="session")
def encounters(generated_csv: Path) -> pd.DataFrame:
    """Encounters that can be readmitted, as a partition holds them."""

    from zenml_pipelines.use_case.schema import read_rows

    found = read_rows(generated_csv)
    return found.loc[CONTRACT.in_scope(found)].drop(columns="readmitted").reset_index(drop=True)


@pytest.fixture(scope="session")
def rows(encounters: pd.DataFrame) -> list[dict]:
    """The same as rows of a request."""
    return [to_row(row) for row in encounters.head(300).to_dict("records")]
