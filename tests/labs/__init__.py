"""What suites share that play on whole systems: processes that start warm, stores that are copied, platforms."""

import os
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
