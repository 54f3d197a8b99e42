"""`mlops serve` as a process: what it refuses, how it ends, TLS, and what it writes."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from labs import ROOT, warm
from serving_lab import KEY, MODEL, ask

pytestmark = pytest.mark.trained


@pytest.fixture(scope="module")
def environment(put, tmp_path_factory):
    """A checkout whose configuration names the model of the tests, on their ZenML store."""
    put(1)
    root = tmp_path_factory.mktemp("checkout")
    (root / "configs").mkdir()
    for path in (ROOT / "configs").glob("*.yaml"):
        (root / "configs" / path.name).write_text(path.read_text().replace("readmission_risk", MODEL))
    (root / "stacks").symlink_to(ROOT / "stacks")
    # ZenML's files lie in `zenml` below the state folder; artifacts know their absolute place.
    state = Path(os.environ["ZENML_CONFIG_PATH"]).parent
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("MLOPS_", "ZENML_", "AIRFLOW"))}
    return {
        **keep,
        "MLOPS_PROJECT_ROOT": str(root),
        "MLOPS_STATE_DIR": str(state),
        "ZENML_ANALYTICS_OPT_IN": "false",
    }


def call(environment, *arguments, **variables):
    return warm.run(
        ["-m", "zenml_mlops.cli.app", "serve", *arguments], cwd=ROOT, env={**environment, **variables}, timeout=120
    )


@contextmanager
def serving(environment, *arguments, **variables):
    """The service as a process of its own; yields it, its port, and the lines that it writes."""
    process = subprocess.Popen(
        [sys.executable, "-m", "zenml_mlops.cli.app", "serve", "--port", "0", *arguments],
        cwd=ROOT,
        env={**environment, "PYTHONUNBUFFERED": "1", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines = []
    found = threading.Event()

    def read():
        for line in process.stdout:
            lines.append(line)
            if '"listening"' in line:
                found.set()
        found.set()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert found.wait(300)
        assert process.poll() is None, "".join(lines)
        assert any('"listening"' in line for line in lines), "".join(lines)
        (listening,) = (line for line in lines if '"listening"' in line)
        yield process, json.loads(listening)["url"].rpartition(":")[2], lines
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join()


def test_check_says_what_would_be_served(environment):
    done = call(environment, "--check", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["model"], found["version"], found["stage"]) == (MODEL, 1, "production")
    assert found["url"] == "http://127.0.0.1:8090"
    assert found["api_key"] == "none"
    plain = call(environment, "--check", MLOPS_SERVING_API_KEY=KEY)
    assert plain.returncode == 0
    assert KEY not in plain.stdout + plain.stderr
    assert "needed" in plain.stdout


def test_what_would_not_be_safe_or_has_no_effect_is_refused(environment, tmp_path):
    empty = tmp_path / "keys"
    empty.write_text("\n")
    refused = {
        ("--host", "0.0.0.0"): "--api-key-file",
        ("--json",): "--check",
        ("--client-ca", "ca.pem"): "--certificate",
        ("--check", "--api-key-file", str(empty)): "No API key",
        ("--check", "--certificate", str(empty), "--private-key", str(empty)): "PEM",
    }
    for arguments, way_out in refused.items():
        done = call(environment, *arguments)
        assert done.returncode == 1, arguments
        assert done.stderr.startswith("Error: "), done.stderr
        assert way_out in done.stderr
        assert "Traceback" not in done.stderr
    assert call(environment, "--check", MLOPS_SERVING_API_KEY="").returncode == 1


def test_an_address_that_is_taken_is_named(environment):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = call(environment, "--port", str(port))
    assert done.returncode == 1
    assert str(port) in done.stderr
    assert "--port" in done.stderr


def test_sigterm_lets_requests_finish_and_ends_with_0(environment, rows):
    with serving(environment, MLOPS_SERVING_API_KEY=KEY) as (process, port, lines):
        base = f"http://127.0.0.1:{port}"
        assert ask(base, rows[:1]).status_code == 401
        answers = []
        begun = threading.Event()

        def slowly():
            """A body that is still being sent when the signal comes."""
            text = json.dumps({"rows": rows}).encode()
            yield text[:1000]
            begun.set()
            time.sleep(1.5)
            yield text[1000:]

        def send():
            headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
            answers.append(httpx.post(f"{base}/v1/score", content=slowly(), headers=headers, timeout=60))

        sender = threading.Thread(target=send)
        sender.start()
        assert begun.wait(120)
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        sender.join()
        assert process.wait(120) == 0
        assert answers[0].status_code == 200
        assert len(answers[0].json()["predictions"]) == len(rows)
        with pytest.raises(httpx.ConnectError):
            ask(base, rows[:1])
    # Every line of the process, whoever wrote it.
    events = [json.loads(line) for line in lines if line.startswith("{")]
    assert [event["event"] for event in events][:2] == ["serving", "listening"]
    assert [event["status"] for event in events if event["event"] == "request"] == [401, 200]
    text = "".join(lines)
    assert KEY not in text
    assert str(rows[0]["encounter_id"]) not in text


def test_a_promotion_by_another_process_is_noticed(environment, put, rows):
    with serving(environment) as (_, port, _):
        base = f"http://127.0.0.1:{port}"
        assert ask(base, rows[:1]).json()["model"]["version"] == 1
        put(2)
        try:
            deadline = time.monotonic() + 60
            while ask(base, rows[:1]).json()["model"]["version"] == 1:
                assert time.monotonic() < deadline
                time.sleep(0.2)
            assert httpx.get(f"{base}/readyz").json()["model"]["version"] == 2
        finally:
            put(1)


def test_ctrl_c_ends_it_as_every_command(environment):
    with serving(environment) as (process, port, lines):
        assert httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 130
    assert "Traceback" not in "".join(lines)


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """An authority, and certificates of it for the service and for a client; one of a stranger."""
    folder = tmp_path_factory.mktemp("pki")
    authority = issue(folder, "authority")
    stranger = issue(folder, "strange-authority")
    issue(folder, "service", authority)
    issue(folder, "client", authority)
    issue(folder, "stranger", stranger)
    return folder


def issue(folder, name, by=None):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    issuer, signer = (subject, key) if by is None else by
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return subject, key


def test_only_clients_of_the_authority_get_a_connection(environment, pki, rows):
    tls = [
        "--certificate", str(pki / "service.pem"), "--private-key", str(pki / "service.key"),
        "--client-ca", str(pki / "authority.pem"),
    ]  # fmt: skip
    with serving(environment, *tls) as (_, port, _):
        base = f"https://127.0.0.1:{port}"

        def trusting(name=None):
            context = ssl.create_default_context(cafile=str(pki / "authority.pem"))
            if name is not None:
                context.load_cert_chain(pki / f"{name}.pem", pki / f"{name}.key")
            return context

        assert ask(base, rows[:2], verify=trusting("client")).status_code == 200
        for name in (None, "stranger"):
            with pytest.raises((httpx.TransportError, ssl.SSLError)):
                ask(base, rows[:2], verify=trusting(name))
        with pytest.raises(httpx.TransportError):
            ask(f"http://127.0.0.1:{port}", rows[:2])
