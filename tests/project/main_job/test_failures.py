"""What the operator sees when something is in the way: one sentence, and nothing left running."""

import os
import signal
import socket
import time

import pytest
from labs import ROOT, stores, warm
from labs.checkout import make_checkout

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(900)]


def test_port_in_use_is_one_sentence(tmp_path):
    checkout = make_checkout(tmp_path / "state")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(checkout.environment["MLOPS_AIRFLOW_PORT"])))
        taken.listen()
        result = checkout.mlops("demo", check=False)
    assert result.returncode == 1
    assert result.stderr.strip().startswith("Error: Port ")
    assert "MLOPS_AIRFLOW_PORT" in result.stderr
    assert checkout.processes() == []


def test_missing_data_file_is_one_sentence(tmp_path):
    checkout = make_checkout(tmp_path / "state")
    result = checkout.mlops("demo", "--source", tmp_path / "nothing.zip", check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("Error: ")
    assert "Traceback" not in result.stderr
    assert checkout.processes() == []


@pytest.mark.parametrize(("number", "started"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_interrupt_half_way_leaves_nothing_running(tmp_path, number, started):
    """Once services have been started, and before any is."""
    checkout = make_checkout(tmp_path / "state")
    stores.give(checkout.state)
    checkout.mlops("data", "fetch", "--source", "synthetic", "--rows", "12000")
    process = warm.Process(["-m", "zenml_mlops.cli.app", "demo"], cwd=ROOT, env=checkout.environment)
    deadline = time.monotonic() + 400
    while not (checkout.processes() if started else (checkout.state / "landing").exists()):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.2)
    if started:
        time.sleep(2)
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "Interrupted" in errors
    assert "Traceback" not in errors
    assert checkout.processes() == []


def test_down_without_anything_running(tmp_path):
    assert "nothing was running" in make_checkout(tmp_path / "state").mlops("down").stdout


def test_an_error_is_printed_as_it_is(tmp_path):
    result = make_checkout(tmp_path / "state").mlops("run", "[red]nothing", check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("Error: No pipeline '[red]nothing'")
