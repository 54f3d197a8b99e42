from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from zenml_mlops.data.download import DownloadPolicy, part_path, public_url
from zenml_mlops.data.errors import DataError
from zenml_mlops.data.fetch import SourceKind, current_source, fetch, require_source
from zenml_mlops.data.files import sha256_of
from zenml_pipelines.use_case import READMISSION
from zenml_pipelines.use_case.archive import MAX_CSV_BYTES
from zenml_pipelines.use_case.schema import PUBLISHED_SHA256

if TYPE_CHECKING:
    from tests.data.conftest import Server

FAST = DownloadPolicy(connect_seconds=1, read_seconds=0.5, deadline_seconds=2, attempts=3, backoff_seconds=0.01)
IMPATIENT = DownloadPolicy(connect_seconds=1, read_seconds=0.2, deadline_seconds=0.3, attempts=1)
ONCE = DownloadPolicy(connect_seconds=1, read_seconds=0.5, deadline_seconds=1, attempts=1)


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "raw"


def test_a_real_archive_is_fetched_and_recorded(raw: Path, real_archive: Path) -> None:
    source = fetch(str(real_archive), raw, READMISSION)
    assert source.kind is SourceKind.FILE
    assert (source.sha256, source.rows) == (PUBLISHED_SHA256, 101_766)
    assert names(raw) == {"diabetic_data.csv", "IDS_mapping.csv", "source.json"}
    assert current_source(raw, READMISSION) == source
    assert json.loads((raw / "source.json").read_text())["origin"] == real_archive.name
    assert str(real_archive.parent) not in (raw / "source.json").read_text()


def test_a_csv_brings_the_mapping_beside_it(raw: Path, real_csv: Path) -> None:
    assert fetch(str(real_csv), raw, READMISSION).origin == "diabetic_data.csv"
    assert (raw / "IDS_mapping.csv").is_file()


def test_nested_folders_and_hostile_names_in_an_archive(tmp_path: Path, raw: Path, real_csv: Path) -> None:
    archive = tmp_path / "nested.zip"
    archive.write_bytes(
        zipped({"../../escape.txt": b"x", "a/b/../../../up/diabetic_data.csv": real_csv.read_bytes()})
    )
    fetch(str(archive), raw, READMISSION)
    assert names(raw) == {"diabetic_data.csv", "source.json"}
    assert names(tmp_path) == {"nested.zip", "raw"}


def test_a_download_is_recorded_without_credentials(raw: Path, server: Server, real_archive: Path) -> None:
    server.content = real_archive.read_bytes()
    url = server.url.replace("http://", "http://user:secret@") + "?signature=secret#frag"
    source = fetch(url, raw, READMISSION, policy=FAST)
    assert (source.kind, source.origin) == (SourceKind.URL, server.url)
    assert names(raw) == {"diabetic_data.csv", "IDS_mapping.csv", "source.json"}


@pytest.mark.parametrize("ranges", [True, False], ids=["server-resumes", "server-starts-over"])
def test_a_truncated_body_is_completed(raw: Path, server: Server, real_archive: Path, ranges: bool) -> None:
    server.content, server.ranges, server.failures = real_archive.read_bytes(), ranges, ["truncate"]
    assert fetch("uci", raw, READMISSION, address=server.url, policy=FAST).kind is SourceKind.PUBLIC
    assert server.asked == [None, f"bytes={len(server.content) // 2}-"]


def test_an_interrupted_download_is_continued_by_the_next_fetch(
    raw: Path, server: Server, real_archive: Path
) -> None:
    server.content, server.failures = real_archive.read_bytes(), ["truncate"]
    with pytest.raises(DataError, match="1 attempt"):
        fetch(server.url, raw, READMISSION, policy=ONCE)
    assert names(raw) == {part_path(server.url, raw).name}
    fetch(server.url, raw, READMISSION, policy=ONCE)
    assert server.asked[-1] == f"bytes={len(server.content) // 2}-"


def test_a_part_of_another_file_is_thrown_away(raw: Path, server: Server, real_archive: Path) -> None:
    server.content = real_archive.read_bytes()
    raw.mkdir()
    part_path(server.url, raw).write_bytes(b"x" * 1000)
    fetch(server.url, raw, READMISSION, policy=ONCE)
    assert server.asked == ["bytes=1000-", None]


def test_a_part_longer_than_the_file_is_thrown_away(raw: Path, server: Server, real_archive: Path) -> None:
    server.content = real_archive.read_bytes()
    raw.mkdir()
    part_path(server.url, raw).write_bytes(server.content + b"more")
    fetch(server.url, raw, READMISSION, policy=FAST)
    assert server.asked[1] is None


def test_a_server_that_recovers_is_asked_again(raw: Path, server: Server, real_archive: Path) -> None:
    server.content, server.failures = real_archive.read_bytes(), ["503", "hang"]
    fetch(server.url, raw, READMISSION, policy=FAST)
    assert len(server.asked) == 3


@pytest.mark.parametrize("form", ["csv", "zip"])
def test_a_wrong_digest_names_both_and_leaves_nothing(raw: Path, server: Server, form: str) -> None:
    content = b"encounter_id\r\n1\r\n"
    server.content = content if form == "csv" else zipped({"diabetic_data.csv": content})
    with pytest.raises(DataError) as error:
        fetch(server.url, raw, READMISSION, policy=FAST)
    assert PUBLISHED_SHA256 in str(error.value)
    assert hashlib.sha256(content).hexdigest() in str(error.value)
    assert not raw.exists()


def test_a_wrong_file_leaves_the_good_one_untouched(raw: Path, tmp_path: Path, real_archive: Path) -> None:
    fetch(str(real_archive), raw, READMISSION)
    before = {path.name: (sha256_of(path), path.stat().st_mtime_ns) for path in raw.iterdir()}
    wrong = tmp_path / "wrong.csv"
    wrong.write_bytes(b"encounter_id\r\n1\r\n")
    with pytest.raises(DataError, match="not the published"):
        fetch(str(wrong), raw, READMISSION)
    assert {path.name: (sha256_of(path), path.stat().st_mtime_ns) for path in raw.iterdir()} == before


def test_a_refusal_is_not_retried(raw: Path, server: Server) -> None:
    server.status = 404
    with pytest.raises(DataError, match="answered 404"):
        fetch(server.url, raw, READMISSION, policy=FAST)
    assert len(server.asked) == 1
    assert not raw.exists()


@pytest.mark.parametrize("behaviour", ["hang", "drip"])
def test_a_server_that_does_not_deliver_is_given_up(
    raw: Path, server: Server, behaviour: str, seconds: Callable[[], float]
) -> None:
    server.content, server.always = b"x" * 10_000, behaviour
    with pytest.raises(DataError, match="could not be downloaded in 1 attempt"):
        fetch(server.url, raw, READMISSION, policy=IMPATIENT)
    assert seconds() < 4


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"readme.txt": b"x"}, "found it 0 times among 1 files"),
        ({"a/diabetic_data.csv": b"x", "b/diabetic_data.csv": b"y"}, "found it 2 times"),
        ({"diabetic_data.csv": b"0" * (MAX_CSV_BYTES + 1)}, "holds more than"),
    ],
    ids=["absent", "ambiguous", "bomb"],
)
def test_an_archive_of_something_else(raw: Path, tmp_path: Path, files: dict[str, bytes], problem: str) -> None:
    archive = tmp_path / "other.zip"
    archive.write_bytes(zipped(files))
    with pytest.raises(DataError, match=problem):
        fetch(str(archive), raw, READMISSION)
    assert not raw.exists()


def test_a_damaged_archive(raw: Path, tmp_path: Path, real_archive: Path) -> None:
    content = bytearray(real_archive.read_bytes())
    content[5000:5200] = bytes(200)
    archive = tmp_path / "damaged.zip"
    archive.write_bytes(bytes(content))
    with pytest.raises(DataError, match="cannot be unpacked"):
        fetch(str(archive), raw, READMISSION)
    assert not raw.exists()


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("nowhere.zip", "No file 'nowhere.zip'"),
        (".", "is a folder"),
        ("ftp://host/x.zip", "not an http"),
        ("http://host:99999/x.zip", "not a URL"),
        ("http:///x.zip", "not a URL"),
    ],
)
def test_a_source_that_is_none(raw: Path, source: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        fetch(source, raw, READMISSION)


def test_auto_without_a_network_falls_back_quickly_and_says_so(raw: Path, seconds: Callable[[], float]) -> None:
    console = Console(file=io.StringIO(), width=200)
    # Port 9 (discard) refuses on loopback.
    source = fetch("auto", raw, READMISSION, rows=500, console=console, address="http://127.0.0.1:9/x.zip")
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert source.kind is SourceKind.SYNTHETIC
    assert "Falling back to SYNTHETIC" in said
    assert seconds() < 15
    again = fetch("auto", raw, READMISSION, console=console, address="http://127.0.0.1:9/x.zip")
    assert again == source
    assert "Already fetched: SYNTHETIC" in console.file.getvalue()  # type: ignore[attr-defined]


def test_auto_takes_uci_where_it_can(raw: Path, server: Server, real_archive: Path) -> None:
    server.content = real_archive.read_bytes()
    assert fetch("auto", raw, READMISSION, address=server.url).kind is SourceKind.PUBLIC
    assert fetch("auto", raw, READMISSION, address=server.url).kind is SourceKind.PUBLIC
    assert len(server.asked) == 1


def test_uci_replaces_synthetic_and_auto_does_not_trust_a_changed_file(
    raw: Path, server: Server, real_archive: Path
) -> None:
    server.content = real_archive.read_bytes()
    fetch("synthetic", raw, READMISSION, rows=200)
    assert fetch("uci", raw, READMISSION, address=server.url, policy=FAST).sha256 == PUBLISHED_SHA256
    with (raw / "diabetic_data.csv").open("ab") as file:
        file.write(b"tampered")
    assert current_source(raw, READMISSION) is None
    with pytest.raises(DataError, match=r"not the file that source\.json records"):
        require_source(raw, READMISSION)
    assert fetch("auto", raw, READMISSION, address=server.url).sha256 == PUBLISHED_SHA256


def test_nothing_fetched_says_what_to_run(raw: Path) -> None:
    with pytest.raises(DataError, match="mlops data fetch"):
        require_source(raw, READMISSION)


def test_public_url_keeps_no_secret() -> None:
    assert public_url("https://u:p@host:8443/a/b.zip?X-Sig=1#f") == "https://host:8443/a/b.zip"


def test_interrupting_a_generation_leaves_nothing(raw: Path) -> None:
    code = "import signal, sys; from pathlib import Path; from zenml_mlops.data.fetch import fetch\n"
    code += "from zenml_pipelines.use_case import READMISSION\n"
    # A shell has what it starts with & ignore interrupts; the tests may be among it.
    code += "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "fetch('synthetic', Path(sys.argv[1]), READMISSION, rows=5_000_000)"
    process = subprocess.Popen([sys.executable, "-c", code, str(raw)], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not (raw.is_dir() and names(raw)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert any(name.endswith(".tmp") for name in names(raw))
        # Python drops an interrupt that meets a finalizer; people press again.
        while process.poll() is None and time.monotonic() < deadline:
            os.kill(process.pid, signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
        assert process.poll() not in {None, 0}
    finally:
        process.kill()
    assert not raw.exists()
