"""What suites share that play on whole systems: processes that start warm, stores that are copied, platforms."""

import os
from contextlib import contextmanager


@contextmanager
def kept_environment():
    """Give the environment's variables back as they were: the next suite runs in the same process."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
