"""A real ZenML server for tests, in an environment of its own, for one session.

A suite elsewhere uses it by taking the fixture into its conftest: ``from zenml_server import zenml_server``.
"""

import ctypes
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from labs import ROOT

REQUIREMENTS = ROOT / "docker" / "zenml-server" / "requirements.txt"
VENV = ROOT / ".venv-zenml-server"
START_SECONDS = 240


class NoServerError(RuntimeError):
    """A ZenML server cannot be had here."""


@dataclass(frozen=True)
class RunningServer:
    """A server and two ways in.

    Attributes:
        url: Its address, without a slash at the end.
        api_key: Key of the service account ``airflow``.
        admin: A client that is logged in as admin; paths are below ``/api/v1``.
        process: What serves it.
    """

    url: str
    api_key: str
    admin: httpx.Client
    process: "ServerProcess"


@dataclass
class ServerProcess:
    """The process of a server, which may be stopped and started again on the same port and database."""

    folder: Path
    port: int
    environment: dict
    running: subprocess.Popen | None = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        log = self.folder / "server.log"
        command = [server_python(), "-m", "uvicorn", "zenml.zen_server.zen_server_api:app"]
        with log.open("ab") as output:
            self.running = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", str(self.port)],
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        _wait_until_ready(self.url, self.running, log)

    def stop(self):
        if self.running is not None:
            _stop(self.running)


def connection(url, key, **extra):
    """An Airflow connection of a server, as a secrets backend may hold it."""
    return json.dumps({"conn_type": "zenml", "host": url, "password": key, "extra": extra})


def server_python():
    """The interpreter of an environment with the locked requirements, made on first use."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    mark = VENV / "requirements.sha256"
    with Path(f"{VENV}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not mark.is_file() or mark.read_text() != digest:
            _build()
            mark.write_text(digest)
    return VENV / "bin" / "python"


def _build():
    own = ROOT / ".venv-uv" / "bin" / "uv"
    uv = shutil.which("uv") or (str(own) if own.is_file() else None)
    if uv is None:
        raise NoServerError("uv is neither on the PATH nor in .venv-uv: the ZenML server's environment needs it.")
    shutil.rmtree(VENV, ignore_errors=True)
    python = str(VENV / "bin" / "python")
    install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python]
    for command in (
        [uv, "venv", "--quiet", "--python", "3.11", str(VENV)],
        [*install, "--require-hashes", "-r", str(REQUIREMENTS)],
    ):
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            raise NoServerError(f"{' '.join(command[:3])} failed: {result.stderr.strip()[-500:]}")


def _end_with_parent():
    """Have the kernel end the server should the test run be killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


@contextmanager
def running_server(folder, store_url=None):
    """A fresh server whose database lies in ``folder``, or is the one of a URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    password = secrets.token_urlsafe(12)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "ZENML_SERVER": "true",
        "ZENML_SERVER_DEPLOYMENT_TYPE": "other",
        "ZENML_SERVER_AUTH_SCHEME": "OAUTH2_PASSWORD_BEARER",
        "ZENML_SERVER_JWT_SECRET_KEY": secrets.token_hex(32),
        "ZENML_SERVER_AUTO_ACTIVATE": "true",
        "ZENML_DEFAULT_USER_NAME": "admin",
        "ZENML_DEFAULT_USER_PASSWORD": password,
        "ZENML_CONFIG_PATH": str(folder / "config"),
        "ZENML_LOCAL_STORES_PATH": str(folder / "stores"),
        "ZENML_STORE_TYPE": "sql",
        "ZENML_STORE_URL": store_url or f"sqlite:///{folder / 'zenml.db'}",
        "ZENML_ANALYTICS_OPT_IN": "false",
        "ZENML_LOGGING_VERBOSITY": "WARN",
    }
    process = ServerProcess(folder, port, environment)
    try:
        process.start()
        with httpx.Client(base_url=f"{process.url}/api/v1", timeout=30) as admin:
            admin.headers["Authorization"] = f"Bearer {_token(admin, password)}"
            yield RunningServer(process.url, _service_account(admin, "airflow"), admin, process)
    finally:
        process.stop()


def _wait_until_ready(url, process, log):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/health", timeout=5).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise NoServerError(f"The ZenML server did not become ready: {log.read_text()[-2000:]}")


def _token(admin, password):
    answer = admin.post("/login", data={"grant_type": "password", "username": "admin", "password": password})
    return answer.raise_for_status().json()["access_token"]


def _service_account(admin, name):
    account = admin.post("/service_accounts", json={"name": name, "active": True}).raise_for_status().json()
    key = (
        admin.post(f"/service_accounts/{account['id']}/api_keys", json={"name": "tests"}).raise_for_status().json()
    )
    return key["body"]["key"]


def _stop(process):
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


@pytest.fixture(scope="session")
def zenml_server(tmp_path_factory):
    try:
        with running_server(tmp_path_factory.mktemp("zenml-server")) as server:
            yield server
    except NoServerError as reason:
        if os.environ.get("REQUIRE_SERVICES") == "1":
            raise
        pytest.skip(str(reason))
