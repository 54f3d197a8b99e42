"""A partition is replaced in one step, on a local file system and on an object store."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from uuid import uuid4

import fsspec
import pandas as pd
import pytest
from labs import ROOT, warm

from zenml_mlops.data.partitions import PartitionError, PartitionManifest, PartitionStore

DAY, OTHER = date(2026, 1, 5), date(2026, 1, 6)


@pytest.fixture(scope="module")
def bucket():
    """A bucket of an S3-compatible server, at which the usual variables point."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "access")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        fsspec.filesystem("s3").mkdir("bucket")
        yield "s3://bucket"
    server.stop()
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.fixture(params=["local", "memory", "s3"])
def store(request, tmp_path: Path) -> PartitionStore:
    if request.param == "s3":
        return PartitionStore(f"{request.getfixturevalue('bucket')}/{uuid4().hex}/out")
    return PartitionStore(str(tmp_path / "out") if request.param == "local" else f"memory://{uuid4().hex}/out")


def stage(
    store: PartitionStore, run: str, value: int, day: date = DAY, rows: int = 5
) -> tuple[str, PartitionManifest]:
    path = store.run_path(day, run)
    name = f"{path}/model_version={value}/part-000.parquet"
    with store.open_new(name) as file:
        pd.DataFrame({"value": [value] * rows}).to_parquet(file)
    stored = store.stored(name, rows)
    return path, PartitionManifest(partition_date=day, zenml_run_id=run, rows=rows, files=(stored,))


def publish(store: PartitionStore, run: str, value: int, day: date = DAY) -> None:
    store.publish(day, *stage(store, run, value, day))


def test_staged_files_are_not_visible(store: PartitionStore):
    stage(store, "a", 1)
    with pytest.raises(PartitionError, match="no partition of 2026-01-05"):
        store.read(DAY)


def test_second_run_replaces_the_first_and_history_is_kept(store: PartitionStore):
    publish(store, "a", 1)
    publish(store, "b", 2)
    assert store.read(DAY)["value"].unique().tolist() == [2]
    assert sorted(entry["zenml_run_id"] for entry in store.history(DAY)) == ["a", "b"]


def test_days_are_independent(store: PartitionStore):
    publish(store, "a", 1)
    publish(store, "b", 2, OTHER)
    publish(store, "c", 3, OTHER)
    assert store.read(DAY)["value"].unique().tolist() == [1]


def test_publishing_twice_changes_nothing(store: PartitionStore):
    path, manifest = stage(store, "a", 1)
    store.publish(DAY, path, manifest)
    store.publish(DAY, path, manifest)
    assert len(store.read(DAY)) == 5
    assert len(store.history(DAY)) == 1


def test_damaged_file_is_not_published_and_the_old_partition_stays(store: PartitionStore):
    publish(store, "a", 1)
    path, manifest = stage(store, "b", 2)
    store.fs.pipe_file(store.absolute(manifest.files[0].path), b"half a file")
    with pytest.raises(PartitionError, match="sha256"):
        store.publish(DAY, path, manifest)
    assert store.read(DAY)["value"].unique().tolist() == [1]


def test_reader_notices_damage_after_publication(store: PartitionStore):
    path, manifest = stage(store, "a", 1)
    store.publish(DAY, path, manifest)
    store.fs.pipe_file(store.absolute(manifest.files[0].path), b"x")
    with pytest.raises(PartitionError, match="does not match its manifest"):
        store.read(DAY)


def test_leftovers_go_and_what_was_published_stays(store: PartitionStore):
    publish(store, "a", 1)
    publish(store, "b", 2)
    stage(store, "crashed", 3)
    stage(store, "mine", 4)
    stage(store, "other day", 5, OTHER)
    store.remove_leftovers(DAY, keep_run="mine")
    left = {
        path.rstrip("/").rsplit("/", 1)[-1]
        for path in store.fs.ls(store.absolute("_runs/date=2026-01-05"), detail=False)
    }
    assert left == {"a", "b", "mine"}
    assert store.fs.exists(store.absolute(store.run_path(OTHER, "other day")))
    assert store.read(DAY)["value"].unique().tolist() == [2]


def test_overtaken_run_stops_with_a_sentence(store: PartitionStore):
    path, manifest = stage(store, "slow", 1)
    store.remove_leftovers(DAY, keep_run="fast")
    with pytest.raises(PartitionError, match="a later run of the same day"):
        store.publish(DAY, path, manifest)


def test_killed_between_link_and_mark_counts_as_published(tmp_path: Path):
    store = PartitionStore(str(tmp_path))
    publish(store, "a", 1)
    (tmp_path / "_runs" / "date=2026-01-05" / "a" / "_PUBLISHED").unlink()
    (tmp_path / "_link-date=2026-01-05-dead").symlink_to("nowhere")
    store.remove_leftovers(DAY, keep_run="b")
    assert len(store.read(DAY)) == 5
    assert not (tmp_path / "_link-date=2026-01-05-dead").is_symlink()


def test_plain_reader_sees_one_version_only(tmp_path: Path):
    store = PartitionStore(str(tmp_path))
    publish(store, "a", 1)
    publish(store, "b", 2)
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.glob("date=*/model_version=*/*.parquet")] == [
        "date=2026-01-05/model_version=2/part-000.parquet"
    ]
    assert len(pd.read_parquet(tmp_path / "date=2026-01-05")) == 5
    assert not (tmp_path / "date=2026-01-05").readlink().is_absolute()


def test_foreign_folder_is_not_replaced(tmp_path: Path):
    store = PartitionStore(str(tmp_path))
    (tmp_path / "date=2026-01-05").mkdir()
    with pytest.raises(PartitionError, match="not published by this project"):
        publish(store, "a", 1)


_WRITER = """
import itertools, sys
from datetime import date
sys.path[:0] = [{folder!r}]
from test_partitions import publish
from zenml_mlops.data.partitions import PartitionStore
store = PartitionStore({root!r})
for number in itertools.count(2):
    publish(store, f"run-{{number}}", number)
"""


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_reader_never_sees_a_mix_while_a_writer_is_killed(tmp_path: Path, kind: str, request):
    """A process publishes without pause and is killed with SIGKILL; every read is one whole version."""
    place = str(tmp_path / "out") if kind == "local" else f"{request.getfixturevalue('bucket')}/killed/out"
    store = PartitionStore(place)
    publish(store, "run-1", 1)
    code = _WRITER.format(folder=str(Path(__file__).parent), root=place)
    writer = warm.Process(["-c", code], cwd=ROOT)
    try:
        while store.read(DAY)["value"].eq(1).all():
            assert writer.poll() is None, writer.communicate()
        seen = set()
        for _ in range(100 if kind == "local" else 40):
            frame = store.read(DAY)
            assert len(frame) == 5
            (value,) = frame["value"].unique()
            seen.add(int(value))
    finally:
        writer.kill()
        writer.communicate()
    assert len(seen) > 3
    assert len(store.read(DAY)["value"].unique()) == 1
    store.remove_leftovers(DAY, keep_run="next")
    publish(store, "next", 0)
    assert store.read(DAY)["value"].unique().tolist() == [0]
