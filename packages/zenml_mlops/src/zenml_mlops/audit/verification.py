"""Whether an audit log is whole: the first entry that is not what was written, if there is one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from zenml_airflow.contracts.frozen import Frozen
from zenml_mlops.audit.entries import START, Entry, Head, MalformedEntryError, parse_entry


class Verification(Frozen):
    """What was found.

    Attributes:
        entries: Entries that are good, from the first to the last one before a broken one.
        first: Number of the first entry; ``None`` if there is none.
        broken: Number of the first broken or missing entry; ``None`` if the log is whole.
        checkpoints: Heads known from elsewhere that the log was compared with.
    """

    entries: int
    first: int | None
    head: Head | None
    broken: int | None = None
    problem: str | None = None
    checkpoints: int = 0

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return self.broken is None


def verify(lines: Iterable[bytes], heads: Mapping[str, Head] | None = None, *, part: bool = False) -> Verification:
    """Check every entry, its hash and its place, and that the log holds what others remember of it.

    Args:
        lines: The lines of the log, each with its line feed.
        heads: Heads that were recorded elsewhere, by a name of where.
        part: Whether the lines may begin in the middle of the log, as an export does.
    """
    known = heads or {}
    entries, first, broken, problem = 0, None, None, None
    last: Entry | None = None
    try:
        for line in lines:
            last = _judge(line, last, known, part=part)
            entries += 1
            first = first or last.number
        _none_missing(last, known)
    except _BrokenError as error:
        broken, problem = (last.number + 1 if last else 1), str(error)
    return Verification(
        entries=entries,
        first=first,
        head=last.head if last else None,
        broken=broken,
        problem=problem,
        checkpoints=len(known),
    )


class _BrokenError(Exception):
    """What is wrong with the entry after the last good one."""


def _judge(line: bytes, last: Entry | None, known: Mapping[str, Head], *, part: bool) -> Entry:
    if not line.endswith(b"\n"):
        raise _BrokenError("its line has no end: it was cut, or its writer was killed and nothing was added since")
    try:
        entry = parse_entry(line[:-1])
    except MalformedEntryError as error:
        raise _BrokenError(f"it cannot be read: {error}") from None
    if entry.hash != entry.expected_hash():
        raise _BrokenError("its content does not have the hash that it names: it was edited")
    if last is not None or not part:
        number, previous = (1, START) if last is None else (last.number + 1, last.hash)
        if entry.number != number:
            raise _BrokenError(f"entry {entry.number} is in its place: entries were removed or moved")
        if entry.previous != previous:
            raise _BrokenError("it follows another entry than the one before it: that one was replaced or moved")
    for where, head in known.items():
        if head.number == entry.number and head.hash != entry.hash:
            raise _BrokenError(f"{where} remembers another entry of this number: the log was rewritten")
    return entry


def _none_missing(last: Entry | None, known: Mapping[str, Head]) -> None:
    end = last.number if last else 0
    later = {head.number: where for where, head in known.items() if head.number > end}
    if later:
        nearest = min(later)
        raise _BrokenError(
            f"it is missing: {later[nearest]} remembers entry {nearest}, and the log ends after {end}"
        )
