"""Download one file over HTTP: streamed, resumable, bounded in time and size."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import httpx

from zenml_mlops.data.errors import DataError

MAX_DOWNLOAD_BYTES: Final = 256 * 1024 * 1024
"""The published archive has 3 MB and its CSV 19 MB; anything near this bound is another file."""

OnBytes = Callable[[int, int | None], object]
"""Called with the bytes at hand and, where the server tells, the total."""


@dataclass(frozen=True)
class DownloadPolicy:
    """How patient a download is.

    Attributes:
        connect_seconds: Limit to reach the server.
        read_seconds: Limit between two received blocks.
        deadline_seconds: Limit of one attempt; a server that drips bytes never exceeds the read limit.
        backoff_seconds: Wait before the second attempt; doubles with each further one.
    """

    connect_seconds: float = 10.0
    read_seconds: float = 30.0
    deadline_seconds: float = 900.0
    attempts: int = 4
    backoff_seconds: float = 1.0


PATIENT: Final = DownloadPolicy()
QUICK: Final = DownloadPolicy(connect_seconds=5.0, read_seconds=10.0, deadline_seconds=120.0, attempts=1)
"""For a download with an alternative: no network must show within seconds."""


class _TransientError(Exception):
    """A failure that the next attempt may not see."""


def public_url(url: str) -> str:
    """Return the URL without user, password, query and fragment, where credentials and signatures travel.

    Raises:
        DataError: If the text is no URL. It is not repeated, for what it may hold.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise DataError(f"The source is not a URL to download from: {error}.") from error
    netloc = f"[{host}]" if ":" in host else host
    return urlunsplit((parts.scheme, f"{netloc}:{port}" if port else netloc, parts.path, "", ""))


def part_path(url: str, folder: Path) -> Path:
    """Return where a download of ``url`` keeps what it has, so that the next one resumes."""
    return folder / f"{hashlib.sha256(url.encode()).hexdigest()[:12]}.part"


def download(url: str, folder: Path, policy: DownloadPolicy, on_bytes: OnBytes | None = None) -> tuple[Path, bool]:
    """Download ``url`` to :func:`part_path`, continuing what an earlier attempt left there.

    The caller judges the content: whether a resumed file is whole shows only in its digest. On failure or
    Ctrl-C the ``.part`` file stays, and the next download continues it.

    Returns:
        The file, and whether any of it was resumed.

    Raises:
        DataError: If the server refuses, is not reached within the policy, or sends more than
            :data:`MAX_DOWNLOAD_BYTES`.
    """
    target = part_path(url, folder)
    timeout = httpx.Timeout(policy.read_seconds, connect=policy.connect_seconds)
    resumed = False
    with httpx.Client(timeout=timeout, follow_redirects=True) as client:
        for attempt in range(1, policy.attempts + 1):
            try:
                resumed = _attempt(client, url, target, policy, on_bytes) or resumed
            except _TransientError as error:
                if attempt == policy.attempts:
                    raise DataError(
                        f"{public_url(url)} could not be downloaded in {attempt} attempt(s): {error}. Check "
                        "the network, or name a file with `mlops data fetch --source PATH`."
                    ) from error
                time.sleep(policy.backoff_seconds * 2 ** (attempt - 1))
            else:
                return target, resumed
    raise DataError("A download policy needs at least one attempt.")


def _attempt(
    client: httpx.Client, url: str, target: Path, policy: DownloadPolicy, on_bytes: OnBytes | None
) -> bool:
    """Make one attempt; return whether it continued an earlier one.

    Raises:
        _TransientError: If another attempt may succeed.
        DataError: If it cannot.
    """
    held = target.stat().st_size if target.exists() else 0
    # Ranges count bytes of the transferred encoding: a compressed answer would not add up.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={held}-"} if held else {})
    try:
        with client.stream("GET", url, headers=headers) as response:
            continues = _check_answer(response, url, held, target)
            _receive(response, target, held if continues else 0, policy, on_bytes)
            return continues
    except httpx.TimeoutException as error:
        raise _TransientError(f"no answer in time ({type(error).__name__})") from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects) as error:
        raise DataError(f"{public_url(url)} is not a URL to download from: {error}.") from error
    except httpx.TransportError as error:
        raise _TransientError(str(error) or type(error).__name__) from error


def _check_answer(response: httpx.Response, url: str, held: int, target: Path) -> bool:
    """Return whether the answer continues at byte ``held``; otherwise it starts at byte 0."""
    status = response.status_code
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        target.unlink(missing_ok=True)
        raise _TransientError("the partial file did not fit the server's")
    if status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS} or status >= 500:
        raise _TransientError(f"the server answered {status} {response.reason_phrase}")
    if status == HTTPStatus.PARTIAL_CONTENT:
        if held and response.headers.get("content-range", "").startswith(f"bytes {held}-"):
            return True
        target.unlink(missing_ok=True)
        raise _TransientError("the server sent another range than asked for")
    if status != HTTPStatus.OK:
        raise DataError(
            f"{public_url(url)} answered {status} {response.reason_phrase}: check the URL, or name a file "
            "with `mlops data fetch --source PATH`."
        )
    return False


def _receive(
    response: httpx.Response, target: Path, offset: int, policy: DownloadPolicy, on_bytes: OnBytes | None
) -> None:
    deadline = time.monotonic() + policy.deadline_seconds
    length = response.headers.get("content-length", "")
    total = offset + int(length) if length.isdigit() else None
    received = offset
    with target.open("r+b" if offset else "wb") as file:
        file.seek(offset)
        for block in response.iter_raw():
            received += len(block)
            if received > MAX_DOWNLOAD_BYTES:
                file.close()
                target.unlink(missing_ok=True)
                raise DataError(
                    f"{public_url(str(response.url))} sends more than {MAX_DOWNLOAD_BYTES:,} bytes; the "
                    "published archive has about 3 million, so this is another file."
                )
            file.write(block)
            if on_bytes is not None:
                on_bytes(received, total)
            if time.monotonic() > deadline:
                raise _TransientError(f"not finished after {policy.deadline_seconds:.0f} s")
