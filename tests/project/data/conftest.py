"""The published encounters where at hand, and as many synthetic ones."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from labs import REAL_DATA
from labs.real_data import real_archive, real_csv, real_dir  # noqa: F401 - fixtures

from zenml_mlops.data.fetch import fetch
from zenml_pipelines.use_case import READMISSION
from zenml_pipelines.use_case.schema import read_rows

PROFILE = REAL_DATA.with_name("PROFILE.md")
SYNTHETIC_ROWS = 100_000


@pytest.fixture(scope="session")
def real(real_csv: Path) -> pd.DataFrame:  # noqa: F811
    return read_rows(real_csv)


@pytest.fixture(scope="session")
def profile() -> str:
    if not PROFILE.is_file():
        pytest.skip("PROFILE.md is not beside the published archive")
    return PROFILE.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def synthetic_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    fetch("synthetic", folder, READMISSION, rows=SYNTHETIC_ROWS)
    return folder


@pytest.fixture(scope="session")
def synthetic(synthetic_dir: Path) -> pd.DataFrame:
    return read_rows(synthetic_dir / "diabetic_data.csv")
