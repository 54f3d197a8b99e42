import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from zenml_airflow.code_archive import CodeArchiveError, build_archive, fetch_code, upload_archive


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    (root / "wing" / "__pycache__").mkdir(parents=True)
    (root / "wing" / "__init__.py").write_text("VERSION = 1\n")
    (root / "wing" / "__pycache__" / "x.pyc").write_bytes(b"x")
    return root


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


@pytest.mark.parametrize("store", ["disk", "memory"])
def test_what_is_uploaded_is_unpacked(project, tmp_path, store):
    url = str(tmp_path / "store") if store == "disk" else f"memory://{uuid4()}"
    content, digest = build_archive(project, ["wing"])
    upload_archive(content, digest, url)
    upload_archive(content, digest, url)
    folder = fetch_code(digest, url, tmp_path / "cache")
    assert (folder / "wing" / "__init__.py").read_text() == "VERSION = 1\n"
    assert not (folder / "wing" / "__pycache__").exists()
    assert fetch_code(digest, "memory://gone", tmp_path / "cache") == folder


def test_a_changed_or_missing_archive_is_refused(project, tmp_path):
    content, digest = build_archive(project, ["wing"])
    url = f"memory://{uuid4()}"
    with pytest.raises(CodeArchiveError, match="mlops deploy"):
        fetch_code(digest, url, tmp_path / "cache")
    with fsspec.open(f"{url}/code_uploads/{digest}.tar.gz", "wb") as handle:
        handle.write(content + b"x")
    with pytest.raises(CodeArchiveError, match="does not match"):
        fetch_code(digest, url, tmp_path / "cache")
    assert not (tmp_path / "cache" / digest).exists()


class MeetingFileSystem(MemoryFileSystem):
    """The memory store, read by two tasks at once: neither gets the file before both have asked for it."""

    protocol = "meeting"
    both_asked = threading.Barrier(2, timeout=30)

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("meeting://", "memory://"))

    def _open(self, path, mode="rb", **kwargs):
        if "r" in mode:
            self.both_asked.wait()
        return super()._open(path, mode, **kwargs)


def test_tasks_that_unpack_at_once_share_one_folder(project, tmp_path):
    fsspec.register_implementation("meeting", MeetingFileSystem, clobber=True)
    content, digest = build_archive(project, ["wing"])
    url = f"meeting://{uuid4()}"
    upload_archive(content, digest, url)
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(fetch_code, digest, url, tmp_path / "cache") for _ in range(2)]
        folders = {job.result() for job in jobs}
    assert folders == {tmp_path / "cache" / digest}
    assert [entry.name for entry in (tmp_path / "cache").iterdir()] == [digest]


def test_the_version_of_the_run_replaces_one_that_was_imported(project, tmp_path):
    folders = []
    for version in (1, 2):
        (project / "wing" / "part.py").write_text(f"VERSION = {version}\n")
        content, digest = build_archive(project, ["wing"])
        upload_archive(content, digest, str(tmp_path / "store"))
        folders.append(str(fetch_code(digest, str(tmp_path / "store"), tmp_path / "cache")))
    (project / "wing" / "part.py").write_text("VERSION = 'checked out'\n")
    code = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(project)!r})
import wing.part
found = [wing.part.VERSION]
from zenml_airflow.code_archive import activate_code
first, second = map(Path, {folders!r})
for folder in (first, second, first, first):
    activate_code(folder)
    import wing.part
    found.append(wing.part.VERSION)
print(found)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "['checked out', 1, 2, 1, 1]"
