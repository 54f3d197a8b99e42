"""Where the encounters come from."""

from __future__ import annotations

from typing import Final

from zenml_mlops.data.source import Source
from zenml_pipelines.use_case.archive import PUBLIC, published_files
from zenml_pipelines.use_case.schema import read_rows
from zenml_pipelines.use_case.synthetic import DEFAULT_ROWS, DEFAULT_SEED, write_synthetic

SOURCE: Final = Source(
    read=read_rows,
    accept=published_files,
    generate=write_synthetic,
    rows=DEFAULT_ROWS,
    seed=DEFAULT_SEED,
    public=PUBLIC,
)
