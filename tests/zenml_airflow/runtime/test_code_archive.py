import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from zenml.artifact_stores import LocalArtifactStore, LocalArtifactStoreConfig
from zenml.enums import StackComponentType

from zenml_airflow.runtime.code_archive import CodeArchiveError, build_archive, fetch_code, upload_archive


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    (root / "wing" / "__pycache__").mkdir(parents=True)
    (root / "wing" / "__init__.py").write_text("VERSION = 1\n")
    (root / "wing" / "__pycache__" / "x.pyc").write_bytes(b"x")
    return root


def local_store(folder, kind=LocalArtifactStore):
    return kind(
        name="store",
        id=uuid4(),
        config=LocalArtifactStoreConfig(path=str(folder)),
        flavor="local",
        type=StackComponentType.ARTIFACT_STORE,
        user=None,
        created=datetime.now(UTC),
        updated=datetime.now(UTC),
    )


@pytest.fixture
def store(tmp_path):
    return local_store(tmp_path / "store")


def test_equal_sources_give_equal_bytes(project):
    first = build_archive(project, ["wing"])
    assert first[0][4:8] == bytes(4), "the gzip header holds the time of the build"
    os.utime(project / "wing" / "__init__.py", (0, 0))
    (project / "wing" / "__init__.py").chmod(0o755)
    (project / "wing" / "__pycache__" / "y.pyc").write_bytes(b"y")
    assert build_archive(project, ["wing"]) == first
    (project / "wing" / "__init__.py").write_text("VERSION = 2\n")
    assert build_archive(project, ["wing"])[1] != first[1]


def test_a_missing_package_is_named(project):
    with pytest.raises(CodeArchiveError, match="'east'"):
        build_archive(project, ["wing", "east"])


def test_what_is_uploaded_is_unpacked(project, tmp_path, store):
    content, digest = build_archive(project, ["wing"])
    upload_archive(content, digest, store)
    upload_archive(content, digest, store)
    assert [entry.name for entry in (tmp_path / "store" / "code_uploads").iterdir()] == [f"{digest}.tar.gz"]
    folder = fetch_code(digest, store, tmp_path / "cache")
    assert (folder / "wing" / "__init__.py").read_text() == "VERSION = 1\n"
    # No byte code travels; what lies there was compiled from what was unpacked, and is held against it.
    (compiled,) = (folder / "wing" / "__pycache__").iterdir()
    assert compiled.name.startswith("__init__.")
    checked = 0b11
    assert int.from_bytes(compiled.read_bytes()[4:8], "little") == checked
    assert fetch_code(digest, local_store(tmp_path / "gone"), tmp_path / "cache") == folder


def test_a_changed_or_missing_archive_is_refused(project, tmp_path, store):
    content, digest = build_archive(project, ["wing"])
    with pytest.raises(CodeArchiveError, match="mlops deploy"):
        fetch_code(digest, store, tmp_path / "cache")
    upload_archive(content, digest, store)
    (tmp_path / "store" / "code_uploads" / f"{digest}.tar.gz").write_bytes(content + b"x")
    with pytest.raises(CodeArchiveError, match="does not match"):
        fetch_code(digest, store, tmp_path / "cache")
    assert not (tmp_path / "cache" / digest).exists()


class MeetingStore(LocalArtifactStore):
    """A store that is read by two tasks at once: neither gets the file before both have asked for it."""

    def open(self, path, mode="r"):
        if "r" in mode:
            both_asked.wait()
        return super().open(path, mode)


both_asked = threading.Barrier(2, timeout=30)


def test_tasks_that_unpack_at_once_share_one_folder(project, tmp_path):
    content, digest = build_archive(project, ["wing"])
    store = local_store(tmp_path / "store", MeetingStore)
    upload_archive(content, digest, store)
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(fetch_code, digest, store, tmp_path / "cache") for _ in range(2)]
        folders = {job.result() for job in jobs}
    assert folders == {tmp_path / "cache" / digest}
    assert [entry.name for entry in (tmp_path / "cache").iterdir()] == [digest]


def test_the_version_of_the_run_replaces_one_that_was_imported(project, tmp_path, store):
    folders = []
    for version in (1, 2):
        (project / "wing" / "part.py").write_text(f"VERSION = {version}\n")
        content, digest = build_archive(project, ["wing"])
        upload_archive(content, digest, store)
        folders.append(str(fetch_code(digest, store, tmp_path / "cache")))
    (project / "wing" / "part.py").write_text("VERSION = 'checked out'\n")
    code = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(project)!r})
import wing.part
found = [wing.part.VERSION]
from zenml_airflow.runtime.code_archive import activate_code
first, second = map(Path, {folders!r})
for folder in (first, second, first, first):
    activate_code(folder)
    import wing.part
    found.append(wing.part.VERSION)
print(found)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "['checked out', 1, 2, 1, 1]"
