"""What the audit log says of some days, for a reader who writes no code.

The log is the only witness: a chapter states what was recorded and nothing that was concluded from it. What stands
outside the log, the partitions that were scored, is handed in by the caller.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from zenml_mlops.audit.chapters import DESCRIPTIONS, Chapter, Row, ScoredPartition, VersionNames, chapters
from zenml_mlops.audit.entries import Entry
from zenml_mlops.audit.verification import Verification
from zenml_mlops.pages import templates


@dataclass(frozen=True)
class AuditReport:
    """What a report says.

    Attributes:
        first: First day, UTC.
        last: Last day, UTC, inclusive.
        heads_asked: Whether the log was compared with the heads that ZenML remembers.
        numbers: Number of the first and of the last entry of these days; ``None`` without one.
        digest: SHA-256 of the file that ``mlops audit export`` writes for these days.
        chapters: The rows of each chapter, in time order.
    """

    environment: str
    log: str
    first: date
    last: date
    made_at: datetime
    verification: Verification
    heads_asked: bool
    entries: int
    numbers: tuple[int, int] | None
    digest: str
    chapters: Mapping[Chapter, tuple[Row, ...]] = field(default_factory=dict)

    @property
    def summary(self) -> list[tuple[Chapter, int, int]]:
        """Each chapter with its number of rows and of those that were refused or failed."""
        return [(name, len(rows), sum(row.bad for row in rows)) for name, rows in self.chapters.items()]


def build_report(
    entries: Iterable[Entry],
    verification: Verification,
    partitions: Sequence[ScoredPartition],
    *,
    first: date,
    last: date,
    environment: str,
    log: str,
    heads_asked: bool,
    named: Callable[[str], str | None] | None = None,
) -> AuditReport:
    """Sort what happened in some days into chapters.

    Args:
        entries: Every good entry of the log, from its first.
        partitions: What was published, of any day; those of these days are taken.
        named: Gives the name of a model version by its id where the log does not tell it.

    Raises:
        ValueError: If the first day is after the last.
    """
    if first > last:
        raise ValueError(f"The first day, {first}, is after the last, {last}.")
    everything = list(entries)
    chosen = consecutive(everything, first, last)
    published = [item for item in partitions if first <= item.published_at.astimezone(UTC).date() <= last]
    names = VersionNames(everything, partitions, named)
    return AuditReport(
        environment=environment,
        log=log,
        first=first,
        last=last,
        made_at=datetime.now(UTC),
        verification=verification,
        heads_asked=heads_asked,
        entries=len(chosen),
        numbers=(chosen[0].number, chosen[-1].number) if chosen else None,
        digest=hashlib.sha256(export_bytes(chosen)).hexdigest(),
        chapters=chapters(chosen, published, names),
    )


def consecutive(entries: Sequence[Entry], first: date, last: date) -> list[Entry]:
    """The entries from the first to the last of some days, UTC, as they stand in the log.

    The clocks of writers differ, so an entry between two of these days may bear another day. It is part of what is
    returned: the chain has no gap.
    """
    places = [place for place, entry in enumerate(entries) if first <= entry.at.astimezone(UTC).date() <= last]
    return list(entries[places[0] : places[-1] + 1]) if places else []


def export_bytes(entries: Iterable[Entry]) -> bytes:
    """Entries as the lines of the log."""
    return b"".join(entry.line() + b"\n" for entry in entries)


def to_html(report: AuditReport) -> str:
    """The report as one page that needs no other file."""
    found = templates(__file__)
    found.filters["ranges"] = ranges
    found.filters["moment"] = lambda at: f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    return found.get_template("report.html.j2").render(
        report=report, descriptions=DESCRIPTIONS, waived=Chapter.WAIVED
    )


def ranges(numbers: Iterable[int]) -> str:
    """Numbers as people write them: ``3-5, 9``."""
    found: list[list[int]] = []
    for number in sorted(set(numbers)):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in found)
