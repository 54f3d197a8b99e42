"""Small synthetic files for the session, and a real HTTP server on loopback."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from labs.pipeline_fixtures import day_frame, generated  # noqa: F401 - fixtures
from labs.real_data import real_archive, real_csv, real_dir  # noqa: F401 - fixtures

from zenml_mlops.data.config import DataConfig, FeedConfig
from zenml_mlops.data.fetch import fetch
from zenml_pipelines.use_case import READMISSION


@pytest.fixture(scope="session")
def small_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw folder with 3,000 synthetic encounters, of which 300 are held out."""
    folder = tmp_path_factory.mktemp("small")
    fetch("synthetic", folder, READMISSION, rows=3000, seed=1)
    return folder


@pytest.fixture(scope="session")
def other_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As ``small_dir``, with other encounters."""
    folder = tmp_path_factory.mktemp("other")
    fetch("synthetic", folder, READMISSION, rows=3000, seed=2)
    return folder


@pytest.fixture
def config() -> DataConfig:
    return DataConfig(
        raw="raw",
        holdout_fraction=0.1,
        feed=FeedConfig(start_date=date(2026, 1, 1), per_day=20, seed=20260101),
    )


@dataclass
class Server:
    """What the loopback server serves, how it misbehaves, and what it was asked."""

    content: bytes = b""
    ranges: bool = True
    status: int = 200
    failures: list[str] = field(default_factory=list)
    """How the next requests fail: ``truncate``, ``hang``, ``drip`` or ``503``; then it behaves."""
    always: str | None = None
    asked: list[str | None] = field(default_factory=list)
    url: str = ""
    stop: threading.Event = field(default_factory=threading.Event)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range")
        self.asked.append(asked)
        failure = self.failures.pop(0) if self.failures else self.always
        status = 503 if failure == "503" else self.status
        if failure == "hang":
            self.stop.wait(10)
            return
        if status != 200:
            handler.send_error(status)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.ranges else 0
        if start and start >= len(self.content):
            handler.send_error(416)
            return
        handler.send_response(206 if start else 200)
        if start:
            end = len(self.content) - 1
            handler.send_header("Content-Range", f"bytes {start}-{end}/{len(self.content)}")
        body = self.content[start:]
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if failure == "drip":
            for byte in body:
                if self.stop.wait(0.05):
                    return
                handler.wfile.write(bytes([byte]))
                handler.wfile.flush()
            return
        handler.wfile.write(body[: len(body) // 2] if failure == "truncate" else body)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                state.answer(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        state.url = f"http://127.0.0.1:{http.server_address[1]}/data/diabetes.zip"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield state
        state.stop.set()
        http.shutdown()
        thread.join(timeout=5)


@pytest.fixture
def seconds() -> Callable[[], float]:
    """Seconds since the test began."""
    begin = time.monotonic()
    return lambda: time.monotonic() - begin
