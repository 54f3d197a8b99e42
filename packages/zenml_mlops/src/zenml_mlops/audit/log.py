"""Where the audit log lies and how an entry is added: a local file, or objects in a store."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import fsspec
from fsspec.implementations.local import LocalFileSystem

from zenml_mlops.audit.entries import Entry, Event, MalformedEntryError, Outcome, next_entry, parse_entry

AUDIT_LOG_ENV = "MLOPS_AUDIT_LOG"
"""Location of the log: a path of a file, or the fsspec URL of a folder of objects."""

RECOVERED = "audit.recovered"
"""Action of the entry that tells of a line that was begun and not finished."""

_BLOCK = 1 << 16
_ATTEMPTS = 100


class AuditError(RuntimeError):
    """The audit log cannot be written or is damaged. What was to be recorded must not happen."""


class AuditLog(Protocol):
    """A log that can be read from the start and added to."""

    @property
    def location(self) -> str:
        """Where it lies."""

    def lines(self) -> Iterator[bytes]:
        """Its lines from the first; one that was not finished has no line feed at its end."""

    def append(self, event: Event) -> Entry:
        """Add an event.

        Raises:
            AuditError: If it cannot be added.
        """


def open_log(location: str) -> AuditLog:
    """The log at a path, a ``file://`` URL, or the URL of a folder in an object store."""
    system, path = fsspec.url_to_fs(location)
    return FileLog(Path(path)) if isinstance(system, LocalFileSystem) else ObjectLog(location)


def configured_log() -> AuditLog | None:
    """The log that this process was told of; ``None`` if it was told of none."""
    location = os.environ.get(AUDIT_LOG_ENV)
    return open_log(location) if location else None


class FileLog:
    """JSON lines in a local file.

    Threads and processes of one machine may write at the same time: an exclusive lock on a file beside the log
    orders them. A file system without ``flock``, such as some network shares, does not keep that promise. Each
    entry is on the disk before :meth:`append` returns.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def location(self) -> str:
        """Path of the file."""
        return str(self.path)

    def lines(self) -> Iterator[bytes]:
        """The lines of the file, each with its line feed."""
        with suppress(FileNotFoundError), self.path.open("rb") as file:
            yield from file

    def append(self, event: Event) -> Entry:
        """Add an event; see :class:`AuditLog`.

        A line that another writer began and did not finish, because it was killed, is moved into a file beside
        the log, and an entry tells of it.
        """
        try:
            with self._alone() as descriptor:
                last = self._recover(descriptor)
                return _write(descriptor, next_entry(event, last))
        except OSError as error:
            raise AuditError(
                f"The audit log {self.path} cannot be written: {error}. Nothing is done without an entry: make "
                "it writable, or name another place in `storage.audit`."
            ) from error

    @contextmanager
    def _alone(self) -> Iterator[int]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            new = not self.path.exists()
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
            try:
                if new:
                    _sync_folder(self.path.parent)
                yield descriptor
            finally:
                os.close(descriptor)
        finally:
            os.close(lock)

    def _recover(self, descriptor: int) -> Entry | None:
        """The last whole entry, once an unfinished line after it is moved aside."""
        line, torn = _tail(descriptor)
        last = None if line is None else self._last(line)
        if not torn:
            return last
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        leftover = self.path.with_name(f"{self.path.name}.unfinished-{moment}")
        with leftover.open("xb") as file:
            file.write(torn)
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(self.path.parent)
        os.ftruncate(descriptor, os.fstat(descriptor).st_size - len(torn))
        told = Event(
            actor="audit",
            action=RECOVERED,
            subject=f"audit:{self.path.name}",
            outcome=Outcome.DONE,
            reason=f"An unfinished line of {len(torn)} bytes was moved to {leftover.name}.",
            links={"sha256": hashlib.sha256(torn).hexdigest()},
        )
        return _write(descriptor, next_entry(told, last))

    def _last(self, line: bytes) -> Entry:
        try:
            return parse_entry(line)
        except MalformedEntryError as error:
            raise AuditError(
                f"The last entry of the audit log {self.path} is damaged: {error}. `mlops audit verify` names the "
                "first broken entry; keep the file as it is, and start a new log at another place, which "
                "`storage.audit` in configs/ names."
            ) from None


class ObjectLog:
    """One object an entry, named by its number, below a URL.

    An object is created only if there is none of its name, and a writer that comes second tries again with the
    next number. Stores that create conditionally keep that for writers on any machine (S3 does, and s3fs uses it);
    for others fsspec looks first and then writes: there, let one machine write. An object is there as a whole or
    not at all, so there are no unfinished lines. Appending lists the folder: made for decisions, not for millions
    of events.
    """

    def __init__(self, location: str) -> None:
        self._url = location.rstrip("/")
        self._system, self._folder = fsspec.url_to_fs(self._url)

    @property
    def location(self) -> str:
        """URL of the folder."""
        return self._url

    def lines(self) -> Iterator[bytes]:
        """The objects' contents in the order of their names."""
        for name in self._names():
            yield self._system.cat_file(name)

    def append(self, event: Event) -> Entry:
        """Add an event; see :class:`AuditLog`."""
        try:
            for _ in range(_ATTEMPTS):
                names = self._names()
                last = self._last(names[-1]) if names else None
                entry = next_entry(event, last)
                with suppress(FileExistsError):
                    self._system.pipe_file(
                        f"{self._folder}/{entry.number:012d}.json", entry.line() + b"\n", mode="create"
                    )
                    return entry
        except OSError as error:
            raise AuditError(f"The audit log {self._url} cannot be written: {error}.") from error
        raise AuditError(f"The audit log {self._url} is being written by other processes; try again.")

    def _names(self) -> list[str]:
        self._system.invalidate_cache(self._folder)
        try:
            found = self._system.ls(self._folder, detail=False)
        except FileNotFoundError:
            return []
        return sorted(str(name) for name in found if str(name).endswith(".json"))

    def _last(self, name: str) -> Entry:
        try:
            return parse_entry(self._system.cat_file(name).removesuffix(b"\n"))
        except MalformedEntryError as error:
            raise AuditError(f"The last entry of the audit log, {name}, is damaged: {error}.") from None


def _write(descriptor: int, entry: Entry) -> Entry:
    content = entry.line() + b"\n"
    size = os.fstat(descriptor).st_size
    try:
        written = 0
        while written < len(content):
            written += os.write(descriptor, content[written:])
        os.fsync(descriptor)
    except OSError:
        # A full disk: what was written of the line is taken back, so that the log ends with a whole entry.
        os.ftruncate(descriptor, size)
        raise
    return entry


def _tail(descriptor: int) -> tuple[bytes | None, bytes]:
    """The last whole line without its line feed, and the unfinished one after it."""
    start = os.fstat(descriptor).st_size
    content = b""
    while start > 0 and content.count(b"\n") < 2:
        step = min(_BLOCK, start)
        start -= step
        content = os.pread(descriptor, step, start) + content
    whole, _, torn = content.rpartition(b"\n")
    if not whole:
        return None, torn
    return whole.rpartition(b"\n")[2], torn


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
