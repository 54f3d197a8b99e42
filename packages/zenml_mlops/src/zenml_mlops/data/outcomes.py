"""What became of the cases: their labels, as they would be delivered some weeks later.

The outcomes of the cases of day D lie in ``<outcomes>/date=D/``, in the layout of the cases themselves:
Parquet files, and the marker ``_SUCCESS`` that is written last.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import fsspec
import pandas as pd

from zenml_mlops.data.config import DataConfig
from zenml_mlops.data.contract import Contract
from zenml_mlops.data.feed import MARKER_NAME, FedPartition, FeedStatus, Landing, check_range, replay
from zenml_mlops.data.use_case import UseCase


class OutcomesError(RuntimeError):
    """The outcomes of a day are not what their marker says."""


def feed_outcomes(
    first_day: date,
    last_day: date,
    *,
    raw_dir: Path,
    outcomes: str,
    config: DataConfig,
    use_case: UseCase,
    on_day: Callable[[FedPartition], object] | None = None,
) -> list[FedPartition]:
    """Write the outcomes of the rows of a range of replayed days; a day that is there is written again.

    Raises:
        DataError: If the range is empty or not covered, or the source data was not fetched.
    """
    played = replay(raw_dir, config, use_case)
    check_range(first_day, last_day, played)
    zone = Landing(*fsspec.core.url_to_fs(outcomes))
    columns = [use_case.contract.row_id, use_case.contract.label]
    fed = []
    for number in range((last_day - first_day).days + 1):
        day = first_day + timedelta(days=number)
        rows = played.labelled_rows(day)[columns].reset_index(drop=True)
        buffer = io.BytesIO()
        rows.to_parquet(buffer, index=False)
        status = FeedStatus.REPLACED if zone.fs.exists(zone.folder(day)) else FeedStatus.WRITTEN
        zone.deliver(day, buffer.getvalue(), {"rows": len(rows)})
        fed.append(FedPartition(day, len(rows), zone.address(day), status))
        if on_day is not None:
            on_day(fed[-1])
    return fed


def read_outcomes(root: str, day: date, contract: Contract) -> tuple[pd.DataFrame, str] | None:
    """The outcomes of a day's rows, and a digest of them; ``None`` while they have not arrived.

    Args:
        root: Path or fsspec URL of the outcomes, resolved.

    Raises:
        OutcomesError: If a file is not what the marker says.
    """
    fs, path = fsspec.core.url_to_fs(root, use_listings_cache=False)
    folder = f"{str(path).rstrip('/')}/date={day.isoformat()}"
    try:
        payload = fs.cat_file(f"{folder}/{MARKER_NAME}")
    except FileNotFoundError:
        return None
    columns = [contract.row_id, contract.label]
    frames = []
    for name, expected in json.loads(payload)["files"].items():
        content = fs.cat_file(f"{folder}/{name}") if fs.exists(f"{folder}/{name}") else b""
        if hashlib.sha256(content).hexdigest() != expected:
            raise OutcomesError(
                f"{folder}/{name} is not the file that its marker describes: have the outcomes delivered again."
            )
        frames.append(pd.read_parquet(io.BytesIO(content), columns=columns, use_threads=False))
    return pd.concat(frames, ignore_index=True), hashlib.sha256(payload).hexdigest()
