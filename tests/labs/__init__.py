"""What suites share that play on whole systems: processes that start warm, stores that are copied, platforms."""

import os
import socket
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""

REAL_DATA = Path(os.environ.get("DIABETES130_ZIP") or ROOT.parent / "shared" / "data" / "diabetes130.zip")
"""The published archive, which may not be here."""


@contextmanager
def kept_environment():
    """Give the environment's variables back as they were: the next suite runs in the same process."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def own_environment(*others):
    """The variables of this process without those that would point a platform at another one.

    Args:
        others: Beginnings of further names that are left out.
    """
    foreign = ("AIRFLOW", "MLFLOW_", "MLOPS_", "ZENML_", *others)
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def free_ports(count):
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return tuple(probe.getsockname()[1] for probe in probes)
    finally:
        for probe in probes:
            probe.close()
