"""The chapters of an audit report: which entries of the log make which rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final

from zenml_mlops.audit.entries import Entry, Outcome

_VERSION: Final = "model_version:"
_MODEL_GATE: Final = "model:"


class Chapter(StrEnum):
    """The parts of a report, in their order; the value is the heading."""

    TRAINED = "Trained"
    GATED = "Gated"
    APPROVED = "Approved"
    MOVED = "Promoted, rolled back, archived, withdrawn"
    SCORED = "Scored"
    WAIVED = "Waived"
    REFUSED = "Refused to start"
    DEPLOYED = "Deployed"
    EXCHANGED = "Exported and imported"
    RUNS = "All pipeline runs"
    OTHER = "Other entries"


DESCRIPTIONS: Final[Mapping[Chapter, str]] = {
    Chapter.TRAINED: "Runs that brought a model before its quality gate.",
    Chapter.GATED: "A gate compares data or a model with the limits in configs/. What fails goes no further.",
    Chapter.APPROVED: "A person decided on one version of a model, for one stage.",
    Chapter.MOVED: "A version entered or left a stage. Each change is judged by the policies first.",
    Chapter.SCORED: "Partitions of predictions that were published, by the day they were published.",
    Chapter.WAIVED: "A policy was broken, and a reviewed waiver let it pass.",
    Chapter.REFUSED: "A run or a task that policies stopped before its first step.",
    Chapter.DEPLOYED: "Pipelines that were deployed or run by hand, and stacks that were changed.",
    Chapter.EXCHANGED: "Versions that left for another server, or came from one.",
    Chapter.RUNS: "Every run of which a step ended.",
    Chapter.OTHER: "What belongs to no other chapter.",
}

_CHAPTER_OF: Final[Mapping[str, Chapter]] = {
    "gate": Chapter.GATED,
    "approve": Chapter.APPROVED,
    "promote": Chapter.MOVED,
    "rollback": Chapter.MOVED,
    "archive": Chapter.MOVED,
    "withdraw": Chapter.MOVED,
    "deploy": Chapter.DEPLOYED,
    "run": Chapter.DEPLOYED,
    "apply_stack": Chapter.DEPLOYED,
    "export": Chapter.EXCHANGED,
    "import": Chapter.EXCHANGED,
    "start_run": Chapter.REFUSED,
    "start_task": Chapter.REFUSED,
    "step": Chapter.RUNS,
}
_GROUPED: Final = frozenset({Chapter.MOVED, Chapter.RUNS})
_BAD: Final = frozenset({Outcome.REFUSED, Outcome.FAILED})


@dataclass(frozen=True)
class Row:
    """A line of a chapter.

    Attributes:
        numbers: Numbers of the entries that it rests on; none for what stands outside the log.
        at: When, UTC.
        reason: Why, in words; empty if none was given.
        details: What it rests on: broken limits and policies, ids of other records.
    """

    numbers: tuple[int, ...]
    at: datetime
    what: str
    who: str
    outcome: str
    bad: bool = False
    reason: str = ""
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScoredPartition:
    """A published partition of predictions.

    Attributes:
        published_at: When it became the day's partition.
        airflow: The DAG run, such as ``airflow:DAG/RUN``.
    """

    day: date
    published_at: datetime
    model: str
    version: int
    version_id: str
    scored: int
    quarantined: int
    replaced: bool
    zenml_run: str
    airflow: str


def chapters(
    entries: Sequence[Entry], published: Iterable[ScoredPartition], names: VersionNames
) -> dict[Chapter, tuple[Row, ...]]:
    """Sort what happened into chapters, each in the order of the log."""
    rows: dict[Chapter, list[Row]] = {name: [] for name in Chapter}
    for entry in entries:
        chapter = _CHAPTER_OF.get(entry.action, Chapter.OTHER)
        if chapter not in _GROUPED and (chapter is not Chapter.REFUSED or entry.outcome in _BAD):
            rows[chapter].append(_row(entry, names))
    rows[Chapter.TRAINED] = list(_trainings(entries, names))
    rows[Chapter.MOVED] = list(_moves(entries, names))
    rows[Chapter.SCORED] = [_partition(item) for item in sorted(published, key=lambda item: item.published_at)]
    rows[Chapter.WAIVED] = list(_waivers(entries))
    rows[Chapter.RUNS] = list(_runs(entries, names))
    return {name: tuple(found) for name, found in rows.items()}


class VersionNames:
    """Names of model versions by id, as far as anything tells them."""

    def __init__(
        self,
        entries: Iterable[Entry],
        partitions: Iterable[ScoredPartition],
        ask: Callable[[str], str | None] | None,
    ) -> None:
        self._known = {item.version_id: f"{item.model}/{item.version}" for item in partitions}
        self._ask = ask
        for entry in entries:
            if entry.subject.startswith(_VERSION) and (number := entry.links.get("model_version")):
                self._known[number] = entry.subject.removeprefix(_VERSION)

    def of(self, version_id: str | None) -> str | None:
        """The name; the id where nobody tells one; nothing of no version."""
        if version_id is None:
            return None
        if version_id not in self._known:
            self._known[version_id] = (self._ask and self._ask(version_id)) or version_id
        return self._known[version_id]


def _row(entry: Entry, names: VersionNames) -> Row:
    return Row(
        numbers=(entry.number,),
        at=entry.at,
        what=f"{entry.action} {_subject(entry, names)}",
        who=entry.actor,
        outcome=entry.outcome.value,
        bad=entry.outcome in _BAD,
        reason=entry.reason or "",
        details=(*_failures(entry), *_links(entry)),
    )


def _subject(entry: Entry, names: VersionNames) -> str:
    subject = entry.subject.removeprefix(_VERSION)
    version = names.of(entry.links.get("model_version"))
    stage = entry.links.get("stage")
    return (
        subject
        + (f", version {version}" if version not in {None, subject} else "")
        + (f", for {stage}" if stage else "")
    )


def _failures(entry: Entry) -> Iterator[str]:
    """What was evaluated, and every limit or policy that failed."""
    judged = [verdict for verdict in entry.verdicts if "passed" in verdict]
    if judged:
        failed = sum(verdict["passed"] is False for verdict in judged)
        yield f"{len(judged)} evaluated, {failed} failed"
    for verdict in judged:
        if verdict["passed"] is False:
            yield _verdict(verdict)
    for verdict in entry.verdicts:
        if "change" in verdict:
            yield str(verdict["change"])


def _verdict(verdict: Mapping[str, Any]) -> str:
    if "gate" in verdict:
        of = f" of {verdict['subject']}" if verdict.get("subject") else ""
        text = f"{verdict['gate']}: {verdict['metric']}{of} must be {verdict['bound']}: {verdict['evidence']}"
        return f"{text}. {verdict['why']}" if verdict.get("why") else text
    stopped = "stopped it" if verdict.get("blocks") else "did not stop it"
    return f"{verdict.get('policy', 'policy')} ({verdict.get('mode', 'unknown mode')}, {stopped}): " + str(
        verdict.get("message", "not kept")
    )


_LINKS: Final = {
    "zenml_run": "ZenML run",
    "commit": "commit",
    "snapshot": "snapshot",
    "approved_by": "approved by",
    "previous": "version before",
    "bundle": "bundle",
    "plan": "plan",
}


def _links(entry: Entry) -> Iterator[str]:
    for name, label in _LINKS.items():
        if name in entry.links:
            yield f"{label} {entry.links[name]}"


def _moves(entries: Sequence[Entry], names: VersionNames) -> Iterator[Row]:
    """One row for a transition: what was judged, and how it ended."""
    open_rows: dict[str, list[Entry]] = {}
    for entry in entries:
        if _CHAPTER_OF.get(entry.action) is Chapter.MOVED:
            open_rows.setdefault(entry.links.get("transition", f"entry {entry.number}"), []).append(entry)
    for parts in open_rows.values():
        begun, ended = parts[0], parts[-1]
        yield Row(
            numbers=tuple(part.number for part in parts),
            at=ended.at,
            what=f"{begun.action} {_subject(begun, names)}",
            who=begun.actor,
            outcome="started, no outcome recorded" if ended.outcome is Outcome.ALLOWED else ended.outcome.value,
            bad=ended.outcome in _BAD or ended.outcome is Outcome.ALLOWED,
            reason=begun.reason or "",
            details=(
                *(part.reason for part in parts[1:] if part.reason),
                *(text for part in parts for text in _failures(part)),
                *_links(begun),
            ),
        )


def _runs(entries: Sequence[Entry], names: VersionNames) -> Iterator[Row]:
    """One row for a run: how many of its steps ended, and how."""
    steps: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.action == "step":
            steps.setdefault(entry.links.get("zenml_run", f"entry {entry.number}"), []).append(entry)
    for run, ended in steps.items():
        failed = [entry for entry in ended if entry.outcome is Outcome.FAILED]
        version = next(filter(None, (names.of(entry.links.get("model_version")) for entry in ended)), None)
        yield Row(
            numbers=tuple(entry.number for entry in ended),
            at=ended[-1].at,
            what=ended[0].subject.removeprefix("step:").rpartition("/")[0]
            + (f", version {version}" if version else ""),
            who=ended[0].actor,
            outcome=f"{len(ended)} steps ended" + (f", {len(failed)} failed" if failed else ""),
            bad=bool(failed),
            reason="; ".join(f"{entry.subject.rpartition('/')[2]}: {entry.reason}" for entry in failed),
            details=(f"ZenML run {run}",),
        )


def _trainings(entries: Sequence[Entry], names: VersionNames) -> Iterator[Row]:
    """One row for a model that came before its gate, with what the policies and the gates of its run said."""
    for gate in entries:
        if gate.action != "gate" or not gate.subject.startswith(_MODEL_GATE):
            continue
        run = gate.links.get("zenml_run")
        version = names.of(gate.links.get("model_version"))
        related = [entry for entry in entries if run is not None and entry.links.get("zenml_run") == run]
        ends = Counter(entry.outcome.value for entry in related if entry.action == "step")
        yield Row(
            numbers=(gate.number,),
            at=gate.at,
            what=f"version {version}" if version else f"a model of {gate.subject.removeprefix(_MODEL_GATE)}",
            who=gate.actor,
            outcome="passed its gate" if gate.outcome is Outcome.ALLOWED else "stopped by its gate",
            bad=gate.outcome in _BAD,
            details=(
                f"pipeline {gate.subject.removeprefix(_MODEL_GATE)}",
                *(f"{count} steps {outcome}" for outcome, count in sorted(ends.items())),
                *(
                    f"{entry.action} {entry.outcome.value} (entry {entry.number})"
                    for entry in related
                    if entry.action in {"start_run", "gate"} and entry is not gate
                ),
                *_links(gate),
            ),
        )


def _waivers(entries: Sequence[Entry]) -> Iterator[Row]:
    """One row for a waiver and what it let pass, with each use."""
    uses: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries:
        for verdict in entry.verdicts:
            waiver = verdict.get("waiver")
            if isinstance(waiver, Mapping):
                key = (verdict["policy"], verdict["subject"], waiver["who"], waiver["until"], waiver["why"])
                uses.setdefault(tuple(map(str, key)), []).append(entry)
    for (policy, subject, who, until, why), used in uses.items():
        yield Row(
            numbers=tuple(dict.fromkeys(entry.number for entry in used)),
            at=used[0].at,
            what=f"{policy} for {subject}",
            who=who,
            outcome=f"until {until}, used {len(used)} times",
            reason=why,
            details=tuple(dict.fromkeys(f"{entry.action} by {entry.actor}" for entry in used)),
        )


def _partition(item: ScoredPartition) -> Row:
    return Row(
        numbers=(),
        at=item.published_at,
        what=f"day {item.day} with version {item.model}/{item.version}",
        who=item.airflow,
        outcome=f"{item.scored} scored, {item.quarantined} quarantined"
        + (", replaced since" if item.replaced else ""),
        details=(f"ZenML run {item.zenml_run}",),
    )
