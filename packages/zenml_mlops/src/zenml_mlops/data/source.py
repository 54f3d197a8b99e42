"""The labelled rows of a use case: where they come from, and how they are read."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import fsspec
import pandas as pd

from zenml_mlops.data.files import sha256_of


class Generate(Protocol):
    """Writes made-up rows; the same arguments give the same bytes."""

    def __call__(self, path: Path, rows: int, seed: int, on_rows: Callable[[int], object] | None = None) -> None:
        """Write ``rows`` rows to ``path`` and call ``on_rows`` with the number of each part that is written."""


@dataclass(frozen=True)
class Accepted:
    """Temporary copies in the destination folder, removed unless moved away.

    Attributes:
        rows: The file of the rows, checked.
        more: Further files by name.
    """

    rows: Path
    more: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class PublicSource:
    """A source that everybody can fetch.

    Attributes:
        name: What it is called on the command line.
        sha256: Digest of the file of the rows.
    """

    name: str
    url: str
    sha256: str


@dataclass(frozen=True)
class Source:
    """Where the labelled rows of a use case come from.

    Attributes:
        read: From the file to a frame with the columns of the contract and the label.
        accept: From a file that was brought, the destination folder, and what to call it in an error, to what it
            holds; raises ``DataError`` for what is no data of this use case.
        rows: Number of made-up rows, unless somebody asks for another one.
    """

    read: Callable[[Path], pd.DataFrame]
    accept: Callable[[Path, Path, str], AbstractContextManager[Accepted]]
    generate: Generate
    rows: int
    seed: int
    public: PublicSource | None = None


def read_source(source: Source, location: str) -> tuple[pd.DataFrame, str]:
    """Read the rows and the file's sha256 from one copy, so that the digest is of the rows that were read.

    Raises:
        FileNotFoundError: If there is no such file.
        DataError: If it is not what it should be.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / Path(location).name
        try:
            with fsspec.open(location, "rb") as opened, copy.open("wb") as target:
                shutil.copyfileobj(opened, target, 1 << 20)
        except FileNotFoundError:
            raise FileNotFoundError(
                f"The source data {location} does not exist. Fetch it with `mlops data fetch`."
            ) from None
        return source.read(copy), sha256_of(copy)
