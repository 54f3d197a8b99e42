"""Where time goes inside a call: a stack of parts, each timed without the parts inside it."""

from __future__ import annotations

import functools
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Stopwatch:
    """Seconds and calls by part, in the thread that made the stopwatch.

    Attributes:
        seconds: Time by part, without the time of parts entered from it.
        calls: How often a part was entered from outside itself.
        details: Calls and seconds by name below a part, such as the store's method.
        elsewhere: Calls that other threads made; their time runs beside and is not counted.
    """

    REST = "rest"

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._stack = [self.REST]
        self._since = time.perf_counter()
        self.reset()

    def reset(self) -> None:
        """Begin again at zero."""
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()
        self.details: dict[str, list[float]] = {}
        self.elsewhere: Counter[str] = Counter()
        self._since = time.perf_counter()

    @contextmanager
    def part(self, name: str, detail: str = "") -> Iterator[None]:
        """Count the time inside under ``name``; inside itself, a part is not entered again."""
        if threading.get_ident() != self._thread:
            self.elsewhere[name] += 1
            yield
            return
        if self._stack[-1] == name:
            yield
            return
        self._switch()
        self._stack.append(name)
        self.calls[name] += 1
        started = time.perf_counter()
        try:
            yield
        finally:
            self._switch()
            self._stack.pop()
            entry = self.details.setdefault(f"{name}: {detail}" if detail else name, [0, 0.0])
            entry[0] += 1
            entry[1] += time.perf_counter() - started

    def wrap(self, owner: Any, attribute: str, name: str) -> None:
        """Time every call of a function or method of ``owner`` as part ``name``."""
        original: Callable[..., Any] = getattr(owner, attribute)

        @functools.wraps(original)
        def timed(*arguments: Any, **keywords: Any) -> Any:
            with self.part(name, attribute):
                return original(*arguments, **keywords)

        setattr(owner, attribute, timed)

    def read(self) -> dict[str, Any]:
        """What was measured since the last reset, the running part included."""
        self._switch()
        return {
            "seconds": dict(self.seconds),
            "calls": dict(self.calls),
            "details": dict(self.details),
            "elsewhere": dict(self.elsewhere),
        }

    def _switch(self) -> None:
        now = time.perf_counter()
        self.seconds[self._stack[-1]] += now - self._since
        self._since = now
