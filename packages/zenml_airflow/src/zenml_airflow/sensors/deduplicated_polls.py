"""Deduplicated polls: one query to ZenML for all triggers of a triggerer that wait for the same thing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from zenml_airflow.client.conditions import Verdict


@dataclass
class _Poll:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    at: float = float("-inf")
    answer: Verdict | Exception | None = None


_polls: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Poll]] = WeakKeyDictionary()


async def deduplicated_poll(key: Hashable, max_age: float, ask: Callable[[], Awaitable[Verdict]]) -> Verdict:
    """The answer to a query, polled again only if nothing in this event loop has polled it for a while.

    An error is an answer too: a server that is down is not asked by each of a thousand triggers.

    Args:
        key: What is asked, and whom.
        max_age: How old an answer may be, in seconds.

    Raises:
        Exception: Whatever ``ask`` raised, for all that share the answer.
    """
    poll = _polls.setdefault(asyncio.get_running_loop(), {}).setdefault(key, _Poll())
    async with poll.lock:
        if poll.answer is None or time.monotonic() - poll.at >= max_age:
            try:
                poll.answer = await ask()
            except Exception as error:  # noqa: BLE001 - raised below, for everyone who shares it
                poll.answer = error
            poll.at = time.monotonic()
    if isinstance(poll.answer, Exception):
        raise poll.answer
    return poll.answer
