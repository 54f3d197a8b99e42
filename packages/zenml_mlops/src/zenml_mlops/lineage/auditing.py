"""What the audit log says of a run or a model version."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property

from zenml_mlops.audit import Entry, configured_log, verify
from zenml_mlops.audit.entries import MalformedEntryError, parse_entry
from zenml_mlops.lineage.nodes import Kind, Node, State, missing


class AuditTrail:
    """The environment's audit log, read once."""

    def of_run(self, run_id: str) -> Node:
        """The entries that name a ZenML run."""
        return self._node([entry for entry in self._known[0] if run_id in entry.links.values()])

    def of_version(self, model: str, number: int, version_id: str | None) -> Node:
        """The entries about a model version."""
        subject = f"model_version:{model}/{number}"
        return self._node(
            [
                entry
                for entry in self._known[0]
                if entry.subject == subject
                or (version_id is not None and entry.links.get("model_version") == version_id)
            ]
        )

    @cached_property
    def _known(self) -> tuple[list[Entry], str | None]:
        """The entries, and what is wrong with the log."""
        log = configured_log()
        if log is None:
            return [], "No audit log is configured for this process."
        lines, entries = list(log.lines()), []
        for line in lines:
            with suppress(MalformedEntryError):
                entries.append(parse_entry(line.removesuffix(b"\n")))
        found = verify(lines)
        problem = f"The audit log is broken at entry {found.broken}: {found.problem}."
        return entries, None if found.whole else problem

    def _node(self, entries: list[Entry]) -> Node:
        problem = self._known[1]
        if not entries:
            return missing(Kind.AUDIT, "audit log", problem or "The audit log has no entry about it.")
        rows = [
            {
                "number": entry.number,
                "at": entry.at.isoformat(timespec="seconds"),
                "action": entry.action,
                "outcome": entry.outcome.value,
                "actor": entry.actor,
            }
            for entry in entries
        ]
        numbers = ", ".join(f"{entry.number} {entry.action} {entry.outcome.value}" for entry in entries)
        return Node(
            kind=Kind.AUDIT,
            title=f"audit log: {numbers}",
            state=State.CHANGED if problem else State.RECORDED,
            note=problem,
            facts={"entries": rows},
        )
