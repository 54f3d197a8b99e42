"""What an entry of the audit log is, and the one way in which it is written as bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import AwareDatetime, Field, ValidationError

from zenml_airflow.contracts.frozen import Frozen

START = "0" * 64
"""What the first entry names as the hash of the one before it."""

_SHA256 = Field(pattern=r"^[0-9a-f]{64}$")


class Outcome(StrEnum):
    """How a decision or an action ended."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    DONE = "done"
    FAILED = "failed"
    OBSERVED = "observed"


class Head(Frozen):
    """The last entry of a log at some time: a log that lacks it was cut or rewritten.

    Attributes:
        number: Number of the entry, from 1.
    """

    number: int = Field(ge=1)
    hash: str = _SHA256


class Event(Frozen):
    """What happened, before it has a place in the log.

    Attributes:
        actor: Who did or decided it, such as ``user:anna`` or ``airflow:DAG/RUN``.
        action: What was done or decided, such as ``promote``.
        subject: What it was about, such as ``model_version:readmission_risk/3``.
        verdicts: What it was based on, as plain data.
        links: Ids by which the other records are found, such as ``zenml_run``.
    """

    actor: str = Field(min_length=1)
    action: str = Field(min_length=1)
    subject: str = Field(min_length=1)
    outcome: Outcome
    reason: str | None = None
    verdicts: tuple[dict[str, Any], ...] = ()
    links: dict[str, str] = {}


class Entry(Event):
    """An event with its place in the log.

    Attributes:
        number: Place in the log, from 1, without a gap.
        at: When it was written, UTC.
        previous: Hash of the entry before; 64 zeros for the first.
        hash: SHA-256 of all the rest, as :func:`canonical` writes it.
    """

    version: Literal[1] = 1
    number: int = Field(ge=1)
    at: AwareDatetime
    previous: str = _SHA256
    hash: str = _SHA256

    @property
    def head(self) -> Head:
        """The entry as the end of the log."""
        return Head(number=self.number, hash=self.hash)

    def line(self) -> bytes:
        """The entry as its line of the log, without the line's end."""
        return canonical(self.model_dump(mode="json"))

    def expected_hash(self) -> str:
        """The hash that its content has."""
        return hashlib.sha256(canonical(self.model_dump(mode="json", exclude={"hash"}))).hexdigest()


class MalformedEntryError(ValueError):
    """A line is no entry, or not one in the form in which entries are written."""


def next_entry(event: Event, last: Entry | None, at: datetime | None = None) -> Entry:
    """Give an event its place after the last entry."""
    content = {
        **event.model_dump(mode="json"),
        "version": 1,
        "number": 1 if last is None else last.number + 1,
        "at": (at or datetime.now(UTC)).astimezone(UTC).isoformat(),
        "previous": START if last is None else last.hash,
    }
    draft = Entry.model_validate_json(json.dumps({**content, "hash": START}))
    return draft.model_copy(update={"hash": draft.expected_hash()})


def parse_entry(line: bytes) -> Entry:
    """Read a line of the log.

    Raises:
        MalformedEntryError: If it is anything else than an entry exactly as :meth:`Entry.line` writes it.
    """
    try:
        entry = Entry.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise MalformedEntryError(f"{where}: {first['msg']}" if where else str(first["msg"])) from None
    if entry.line() != line:
        raise MalformedEntryError("it does not have the format of an entry")
    return entry


def canonical(content: Mapping[str, Any] | Sequence[Any]) -> bytes:
    """Plain data as bytes, in one way only: sorted keys, no spaces, ASCII."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
