"""Where the labelled rows come from: a table on disk, or rows that are made up."""

from __future__ import annotations

from typing import Final

from zenml_mlops.data.tables import table_source
from zenml_pipelines.use_case import CONTRACT, TABLE

SOURCE: Final = table_source(CONTRACT, TABLE)
