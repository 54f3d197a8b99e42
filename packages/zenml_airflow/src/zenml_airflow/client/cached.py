"""A cache that is filled in the background, for pages that must not wait for what is slow to read.

Imports neither Airflow nor ZenML.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True)
class CachedValue(Generic[Value]):
    """The cached value.

    Attributes:
        value: The last value that was read, however old; ``None`` before the first.
        error: What the last reading raised; ``None`` if it went well.
    """

    value: Value | None
    error: BaseException | None
    pending: bool


class BackgroundCache(Generic[Value]):
    """Reads in a thread, once for everybody who asks meanwhile, and not again for a while.

    A reading that hangs holds up nobody: whoever asks gets the last value after a moment. The thread is a daemon,
    so that it does not hold up the end of the process either.

    Args:
        read: Reads the value; takes as long as it takes.
        fresh_seconds: For how long a value, or a failure, is good enough.
    """

    def __init__(self, read: Callable[[], Value], fresh_seconds: float) -> None:
        self._read = read
        self._fresh_seconds = fresh_seconds
        self._lock = threading.Lock()
        self._reading: Future[Value] | None = None
        self._value: Value | None = None
        self._error: BaseException | None = None
        self._ended = float("-inf")

    def get(self, patience_seconds: float) -> CachedValue[Value]:
        """Return what is known, having waited for a reading for a moment where one was due."""
        with self._lock:
            reading = self._reading
            if reading is None and time.monotonic() - self._ended >= self._fresh_seconds:
                reading = self._reading = Future()
                threading.Thread(target=self._run, args=(reading,), name="background-cache", daemon=True).start()
        if reading is not None:
            wait([reading], patience_seconds)
        with self._lock:
            return CachedValue(self._value, self._error, pending=self._reading is not None)

    def _run(self, reading: Future[Value]) -> None:
        try:
            value, error = self._read(), None
        except BaseException as raised:  # noqa: BLE001 - it is handed to whoever asks
            value, error = None, raised
        with self._lock:
            self._value = self._value if error is not None else value
            self._error = error
            self._ended = time.monotonic()
            self._reading = None
        reading.set_result(value)  # type: ignore[arg-type]
