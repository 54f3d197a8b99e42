"""Make SIGTERM and Ctrl-C end a long job the same way: cleaned up, once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


@contextmanager
def terminable() -> Iterator[None]:
    """Raise ``KeyboardInterrupt`` on SIGTERM too, and let nothing interrupt the clean-up that follows.

    A signal to a process group often comes twice, once more from the program that started this one. SIGINT is set
    too: a process that a script started in the background ignores it otherwise.
    """

    def interrupt(*_: object) -> NoReturn:
        for number in previous:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    previous = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
