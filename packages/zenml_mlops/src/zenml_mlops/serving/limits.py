"""Who may send how much: keys, rates, sizes."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterable, Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from zenml_mlops.serving.config import RateRules

SHORTEST_KEY: Final = 16
"""Characters of an API key, at least: 16 random letters and digits are beyond guessing at any allowed rate."""


class KeyFormatError(ValueError):
    """An API key could never arrive in a header, or can be guessed."""


class OpenDoorError(ValueError):
    """The service would be reachable from other machines without a key."""


class BodyTooLargeError(ValueError):
    """A body is larger than allowed."""


class BodyTooSlowError(ValueError):
    """A body did not arrive in time."""


class ApiKeys:
    """The keys that let a client in; of several each is as good, so that they can be changed one by one."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests: dict[str, bytes] = {}
        for number, key in enumerate(keys, start=1):
            if len(key) < SHORTEST_KEY or not key.isascii() or not key.isprintable() or " " in key:
                raise KeyFormatError(
                    f"API key {number} must have at least {SHORTEST_KEY} printable ASCII characters and no space. "
                    "Make one with `openssl rand -hex 32`."
                )
            self._digests[f"key-{number}"] = _digest(key.encode())

    @classmethod
    def parse(cls, text: str) -> ApiKeys:
        """Read keys, one a line; empty lines count for nothing.

        Raises:
            KeyFormatError: If there is none, or one is not fit to be one.
        """
        keys = [line.strip() for line in text.splitlines() if line.strip()]
        if not keys:
            raise KeyFormatError("No API key was found: write one per line.")
        return cls(keys)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def owner(self, presented: bytes) -> str | None:
        """Which key was presented, by a name that tells nothing of it; ``None`` if it is none of them.

        All keys are compared, each in a time that does not depend on how much of it is right.
        """
        digest = _digest(presented)
        found = None
        for name, known in self._digests.items():
            if hmac.compare_digest(digest, known):
                found = name
        return found


def check_reachable(host: str, keys: ApiKeys) -> None:
    """Check that only this machine reaches a service without a key.

    Raises:
        OpenDoorError: If others would.
    """
    if keys or is_loopback(host):
        return
    raise OpenDoorError(
        f"Without an API key the service listens on loopback only, and {host!r} is not: anybody who reaches it "
        "could ask about people. Set MLOPS_SERVING_API_KEY or --api-key-file, or leave --host at 127.0.0.1."
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address. A name other than ``localhost`` may stand for anything."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass
class _Bucket:
    tokens: float
    filled: float


class TokenBuckets:
    """A token bucket for each client."""

    def __init__(self, rules: RateRules, clock: Callable[[], float] = time.monotonic) -> None:
        self._rules, self._clock = rules, clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, client: str) -> int:
        """Take a token.

        Returns:
            0 if there was one, else in how many whole seconds there will be.
        """
        now, rules = self._clock(), self._rules
        bucket = self._buckets.pop(client, None) or _Bucket(float(rules.burst), now)
        bucket.tokens = min(rules.burst, bucket.tokens + (now - bucket.filled) * rules.per_second)
        bucket.filled = now
        self._buckets[client] = bucket
        if len(self._buckets) > rules.most_clients:
            self._buckets.popitem(last=False)
        if bucket.tokens < 1:
            return max(1, math.ceil((1 - bucket.tokens) / rules.per_second))
        bucket.tokens -= 1
        return 0


async def read_body(declared: str | None, stream: AsyncIterable[bytes], most_bytes: int, seconds: float) -> bytes:
    """Read a body, and no more of it than allowed.

    Args:
        declared: The ``Content-Length`` of the request.
        seconds: How long it may take.

    Raises:
        BodyTooLargeError: If it is larger; a declared size is enough.
        BodyTooSlowError: If it takes longer.
    """
    if declared is not None and declared.isdecimal() and int(declared) > most_bytes:
        raise BodyTooLargeError
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for part in stream:
                body += part
                if len(body) > most_bytes:
                    raise BodyTooLargeError
    except TimeoutError:
        raise BodyTooSlowError from None
    return bytes(body)


def _digest(key: bytes) -> bytes:
    """Of one length, whatever the key's is: a comparison of unequal lengths ends early."""
    return hashlib.sha256(key).digest()
