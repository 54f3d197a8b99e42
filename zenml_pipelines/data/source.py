"""Read the source data from wherever it lies."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

import fsspec
import pandas as pd

from zenml_pipelines.data.schema import read_rows


def read_source(location: str) -> tuple[pd.DataFrame, str]:
    """Read the CSV and its sha256 from one copy, so that the digest is of the rows that were read.

    Raises:
        FileNotFoundError: If there is none.
        DataError: If it is not what it should be.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / Path(location).name
        try:
            with fsspec.open(location, "rb") as source, copy.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
        except FileNotFoundError:
            raise FileNotFoundError(
                f"The source data {location} does not exist. Fetch it with `mlops data fetch`."
            ) from None
        with copy.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return read_rows(copy), digest
