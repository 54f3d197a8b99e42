from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zenml_mlops.data.config import DataConfig, FeedConfig
from zenml_mlops.data.errors import DataError
from zenml_mlops.data.feed import FeedStatus, daily_ends, feed, replay
from zenml_mlops.data.fetch import current_source, fetch
from zenml_mlops.data.files import sha256_of
from zenml_mlops.data.holdout import feed_rows
from zenml_pipelines.use_case import READMISSION
from zenml_pipelines.use_case.contract import CONTRACT
from zenml_pipelines.use_case.schema import COLUMNS, INTEGER_COLUMNS, read_rows

START = date(2026, 1, 1)


def day(number: int) -> date:
    """The day ``number`` days after the start."""
    return START + timedelta(days=number)


def snapshot(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256_of(path) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    return tmp_path / "landing"


@pytest.fixture
def memory() -> Iterator[str]:
    url = "memory://data-feed-test/landing"
    yield url
    fsspec.filesystem("memory").rm("/data-feed-test", recursive=True)


def test_every_held_out_encounter_comes_once_in_order(small_dir: Path, landing: Path, config: DataConfig) -> None:
    last = replay(small_dir, config, READMISSION).last_day
    fed = feed(START, last, raw_dir=small_dir, landing=str(landing), config=config, use_case=READMISSION)
    assert [partition.day for partition in fed] == [day(number) for number in range(len(fed))]
    assert {partition.status for partition in fed} == {FeedStatus.WRITTEN}
    tables = [pq.read_table(f"{partition.path}/part-000.parquet") for partition in fed]
    assert [table.num_rows for table in tables] == [partition.rows for partition in fed]
    assert min(partition.rows for partition in fed) >= 1
    replayed = pa.concat_tables(tables).to_pandas()
    expected = feed_rows(read_rows(small_dir / "diabetic_data.csv"), CONTRACT.row_id, 0.1).drop(
        columns="readmitted"
    )
    pd.testing.assert_frame_equal(replayed.fillna("?"), expected.fillna("?"), check_dtype=False, check_exact=True)
    assert len(replayed) == 300


def test_the_label_is_absent_and_types_are_plain(small_dir: Path, landing: Path, config: DataConfig) -> None:
    feed(START, START, raw_dir=small_dir, landing=str(landing), config=config, use_case=READMISSION)
    table = pq.read_table(landing / "date=2026-01-01" / "part-000.parquet", partitioning=None)
    assert table.column_names == [name for name in COLUMNS if name != "readmitted"]
    for field in table.schema:
        assert field.type == (pa.int64() if field.name in INTEGER_COLUMNS else pa.string())
    assert table["weight"].null_count > 0
    assert "?" not in table["weight"].to_pylist()
    assert "None" in table["A1Cresult"].to_pylist()


def test_the_marker_says_what_is_complete(small_dir: Path, landing: Path, config: DataConfig) -> None:
    (partition,) = feed(START, START, raw_dir=small_dir, landing=str(landing), config=config, use_case=READMISSION)
    folder = Path(partition.path)
    marker = json.loads((folder / "_SUCCESS").read_text())
    source = current_source(small_dir, READMISSION)
    assert source is not None
    assert marker["rows"] == partition.rows
    assert marker["source_sha256"] == source.sha256
    assert marker["files"] == {"part-000.parquet": sha256_of(folder / "part-000.parquet")}
    assert sorted(path.name for path in folder.iterdir()) == ["_SUCCESS", "part-000.parquet"]


def test_feeding_twice_changes_nothing(small_dir: Path, landing: Path, config: DataConfig) -> None:
    feed(START, day(2), raw_dir=small_dir, landing=str(landing), config=config, use_case=READMISSION)
    before = snapshot(landing)
    times = {path: path.stat().st_mtime_ns for path in landing.rglob("*")}
    again = feed(START, day(2), raw_dir=small_dir, landing=str(landing), config=config, use_case=READMISSION)
    assert {partition.status for partition in again} == {FeedStatus.PRESENT}
    assert snapshot(landing) == before
    assert {path: path.stat().st_mtime_ns for path in landing.rglob("*")} == times


@pytest.mark.parametrize("order", list(itertools.permutations([(0, 1), (2, 2), (1, 4)])))
def test_a_day_does_not_depend_on_the_range_it_came_in(
    small_dir: Path, tmp_path: Path, config: DataConfig, order: tuple[tuple[int, int], ...]
) -> None:
    feed(START, day(4), raw_dir=small_dir, landing=str(tmp_path / "at-once"), config=config, use_case=READMISSION)
    for first, last in order:
        feed(
            day(first),
            day(last),
            raw_dir=small_dir,
            landing=str(tmp_path / "piecewise"),
            config=config,
            use_case=READMISSION,
        )
    assert snapshot(tmp_path / "piecewise") == snapshot(tmp_path / "at-once")


@pytest.mark.parametrize("left", [[], ["part-000.parquet"], ["part-000.parquet", "part-001.parquet"]])
def test_a_half_written_partition_is_redone(
    small_dir: Path, landing: Path, config: DataConfig, left: list[str]
) -> None:
    feed(START, START, raw_dir=small_dir, landing=str(landing), config=config, use_case=READMISSION)
    whole = snapshot(landing)
    folder = landing / "date=2026-01-01"
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / ".part-000.parquet.abc.tmp").write_bytes(b"left by a killed process")
    for name in left:
        (folder / name).write_bytes(b"half")
    (partition,) = feed(START, START, raw_dir=small_dir, landing=str(landing), config=config, use_case=READMISSION)
    assert partition.status is FeedStatus.REDONE
    assert snapshot(landing) == whole


def test_other_data_is_replaced_only_by_force(
    small_dir: Path, other_dir: Path, landing: Path, config: DataConfig
) -> None:
    feed(START, day(1), raw_dir=small_dir, landing=str(landing), config=config, use_case=READMISSION)
    before = snapshot(landing)
    with pytest.raises(DataError, match=r"2 of 3 partitions .*2026-01-01, 2026-01-02.*--force"):
        feed(START, day(2), raw_dir=other_dir, landing=str(landing), config=config, use_case=READMISSION)
    assert snapshot(landing) == before
    fed = feed(
        START, day(2), raw_dir=other_dir, landing=str(landing), config=config, use_case=READMISSION, force=True
    )
    assert [partition.status for partition in fed] == [
        FeedStatus.REPLACED,
        FeedStatus.REPLACED,
        FeedStatus.WRITTEN,
    ]
    fresh = landing.with_name("fresh")
    feed(START, day(2), raw_dir=other_dir, landing=str(fresh), config=config, use_case=READMISSION)
    assert snapshot(landing) == snapshot(fresh)


@pytest.mark.parametrize("damage", ["data-changed", "data-gone", "marker-garbage", "marker-list"])
def test_a_damaged_partition_is_noticed(small_dir: Path, landing: Path, config: DataConfig, damage: str) -> None:
    feed(START, START, raw_dir=small_dir, landing=str(landing), config=config, use_case=READMISSION)
    whole = snapshot(landing)
    folder = landing / "date=2026-01-01"
    if damage == "data-changed":
        (folder / "part-000.parquet").write_bytes(b"x")
    elif damage == "data-gone":
        (folder / "part-000.parquet").unlink()
    else:
        (folder / "_SUCCESS").write_text("{" if damage == "marker-garbage" else "[]")
    with pytest.raises(DataError, match="--force"):
        feed(START, START, raw_dir=small_dir, landing=str(landing), config=config, use_case=READMISSION)
    feed(START, START, raw_dir=small_dir, landing=str(landing), config=config, use_case=READMISSION, force=True)
    assert snapshot(landing) == whole


def test_any_fsspec_landing_zone(small_dir: Path, landing: Path, memory: str, config: DataConfig) -> None:
    feed(START, day(1), raw_dir=small_dir, landing=str(landing), config=config, use_case=READMISSION)
    fed = feed(START, day(1), raw_dir=small_dir, landing=memory, config=config, use_case=READMISSION)
    again = feed(START, day(1), raw_dir=small_dir, landing=memory, config=config, use_case=READMISSION)
    assert {partition.status for partition in again} == {FeedStatus.PRESENT}
    for partition in fed:
        fs, folder = fsspec.core.url_to_fs(partition.path)
        for name in ("_SUCCESS", "part-000.parquet"):
            local = landing / f"date={partition.day}" / name
            assert fs.cat_file(f"{folder}/{name}") == local.read_bytes()
    fs.rm_file(f"{folder}/_SUCCESS")
    (redone,) = feed(day(1), day(1), raw_dir=small_dir, landing=memory, config=config, use_case=READMISSION)
    assert redone.status is FeedStatus.REDONE


def test_ranges_that_cannot_be_fed(small_dir: Path, landing: Path, config: DataConfig) -> None:
    last = replay(small_dir, config, READMISSION).last_day
    for first, final, problem in (
        (day(2), day(1), "lies after the last day"),
        (day(-1), day(1), f"before the first replayed day {START}"),
        (day(1), last + timedelta(days=1), f"last replayed day is {last}"),
    ):
        with pytest.raises(DataError, match=problem):
            feed(first, final, raw_dir=small_dir, landing=str(landing), config=config, use_case=READMISSION)
    assert not landing.exists()


def test_nothing_fetched(tmp_path: Path, landing: Path, config: DataConfig) -> None:
    with pytest.raises(DataError, match="mlops data fetch"):
        feed(START, START, raw_dir=tmp_path / "raw", landing=str(landing), config=config, use_case=READMISSION)


@given(
    total=st.integers(0, 3000),
    per_day=st.integers(1, 300),
    seed=st.integers(0, 2**32),
    extra=st.integers(1, 500),
)
def test_daily_volumes(total: int, per_day: int, seed: int, extra: int) -> None:
    """Every encounter has a day, no day is empty, and more data changes no day but the last."""
    config = FeedConfig(start_date=START, per_day=per_day, seed=seed)
    ends = daily_ends(total, config)
    volumes = np.diff(ends, prepend=0)
    assert volumes.sum() == total
    assert (volumes >= 1).all()
    assert (daily_ends(total + extra, config)[: max(len(ends) - 1, 0)] == ends[:-1]).all()


def test_daily_volumes_have_the_configured_mean() -> None:
    volumes = np.diff(daily_ends(100_000, FeedConfig(start_date=START, per_day=100, seed=1)), prepend=0)
    assert abs(volumes[:-1].mean() - 100) < 2
    assert len(set(volumes)) > 20


def test_the_published_data_lasts_about_a_hundred_days(
    real_archive: Path, tmp_path: Path, config: DataConfig
) -> None:
    fetch(str(real_archive), tmp_path / "raw", READMISSION)
    config = config.model_copy(update={"feed": FeedConfig(start_date=START, per_day=100, seed=20260101)})
    last = replay(tmp_path / "raw", config, READMISSION).last_day
    assert 95 <= (last - START).days + 1 <= 110
    fed = feed(
        START,
        last,
        raw_dir=tmp_path / "raw",
        landing=str(tmp_path / "landing"),
        config=config,
        use_case=READMISSION,
    )
    assert sum(partition.rows for partition in fed) == 10_177
