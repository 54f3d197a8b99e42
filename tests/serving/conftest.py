"""Two versions of a model in a ZenML of its own, made by the training pipeline on generated encounters."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "pipelines"))

from pipeline_workspace import ROWS, Workspace, settings
from serving_lab import MODEL, open_workspace, to_row

from zenml_pipelines.serving.config import ServingConfig, build_serving_config


@pytest.fixture(scope="session", autouse=True)
def spared_collector() -> Iterator[None]:
    """Keep the test process's own million objects, through which each new version would look for a second, frozen.

    The service in a process of its own, see `test_command.py`, does as it is.
    """
    own = SimpleNamespace(unfreeze=lambda: None, collect=gc.collect, freeze=gc.freeze)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zenml_pipelines.serving.switch.gc", own)
        gc.freeze()
        yield
        gc.unfreeze()


@pytest.fixture(scope="session")
def generated_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from zenml_pipelines.data.synthetic import generate

    path = tmp_path_factory.mktemp("generated") / "diabetic_data.csv"
    pd.concat(generate(ROWS, seed=11)).to_csv(path, index=False, na_rep="?")
    return path


@pytest.fixture(scope="session")
def two_versions(tmp_path_factory: pytest.TempPathFactory, generated_csv: Path) -> Workspace:
    """Versions 1 and 2; the second has other trees, so that it answers differently."""
    workspace = open_workspace(tmp_path_factory.mktemp("serving"), generated_csv, MODEL)
    workspace.train()
    trees = workspace.training.hist_gradient_boosting.model_copy(update={"max_iter": 25})
    workspace.train(workspace.training.model_copy(update={"hist_gradient_boosting": trees}))
    return workspace


@pytest.fixture(scope="session")
def put(two_versions: Workspace) -> Callable[[int], None]:
    """Puts a version into production, if it is not there."""
    from zenml_mlops.promotion import promote
    from zenml_pipelines.champion import NoChampionError, find_champion

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
    from zenml_pipelines.data.schema import read_rows
    from zenml_pipelines.splitting import in_scope

    found = read_rows(generated_csv)
    return found.loc[in_scope(found)].drop(columns="readmitted").reset_index(drop=True)


@pytest.fixture(scope="session")
def rows(encounters: pd.DataFrame) -> list[dict]:
    """The same as rows of a request."""
    return [to_row(row) for row in encounters.head(300).to_dict("records")]
