"""One question to ZenML for all triggers of a triggerer that wait for the same thing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from zenml_airflow.client.conditions import Verdict


@dataclass
class _Look:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    at: float = float("-inf")
    answer: Verdict | Exception | None = None


_looks: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Look]] = WeakKeyDictionary()


async def shared_look(key: Hashable, max_age: float, ask: Callable[[], Awaitable[Verdict]]) -> Verdict:
    """The answer to a question, asked anew only if nobody in this event loop has asked for a while.

    An error is an answer too: a server that is down is not asked by each of a thousand triggers.

    Args:
        key: What is asked, and whom.
        max_age: How old an answer may be, in seconds.

    Raises:
        Exception: Whatever ``ask`` raised, for all that share the answer.
    """
    look = _looks.setdefault(asyncio.get_running_loop(), {}).setdefault(key, _Look())
    async with look.lock:
        if look.answer is None or time.monotonic() - look.at >= max_age:
            try:
                look.answer = await ask()
            except Exception as error:  # noqa: BLE001 - raised below, for everyone who shares it
                look.answer = error
            look.at = time.monotonic()
    if isinstance(look.answer, Exception):
        raise look.answer
    return look.answer
