"""The published file, where it is at hand."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from labs import REAL_DATA


@pytest.fixture(scope="session")
def real_archive() -> Path:
    if not REAL_DATA.is_file():
        pytest.skip("the published archive is not here: set DIABETES130_ZIP to it")
    return REAL_DATA


@pytest.fixture(scope="session")
def real_dir(real_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    with zipfile.ZipFile(real_archive) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="session")
def real_csv(real_dir: Path) -> Path:
    return next(real_dir.rglob("diabetic_data.csv"))
