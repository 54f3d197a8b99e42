"""Where the encounters come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from zenml_mlops.data.source import Source
from zenml_pipelines.use_case.archive import PUBLIC, published_files
from zenml_pipelines.use_case.schema import read_rows


def generate(path: Path, rows: int, seed: int, on_rows: Callable[[int], object] | None = None) -> None:
    """Write made-up encounters. Who reads real ones imports no generator."""
    from zenml_pipelines.use_case.synthetic import write_synthetic

    write_synthetic(path, rows, seed, on_rows)


SOURCE: Final = Source(
    read=read_rows, accept=published_files, generate=generate, rows=100_000, seed=42, public=PUBLIC
)
