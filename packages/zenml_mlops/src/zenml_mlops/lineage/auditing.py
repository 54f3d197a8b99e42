"""What the audit log says of a run or a model version."""

from __future__ import annotations

from zenml_mlops.audit import Entry, configured_log, verify
from zenml_mlops.audit.entries import MalformedEntryError, parse_entry
from zenml_mlops.lineage.nodes import Kind, Node, State, missing


class AuditTrail:
    """The environment's audit log, read once."""

    def __init__(self) -> None:
        self._entries: list[Entry] | None = None
        self._problem: str | None = None

    def of_run(self, run_id: str) -> Node:
        """The entries that name a ZenML run."""
        return self._node([entry for entry in self._read() if run_id in entry.links.values()])

    def of_version(self, model: str, number: int, version_id: str | None) -> Node:
        """The entries about a model version."""
        subject = f"model_version:{model}/{number}"
        return self._node(
            [
                entry
                for entry in self._read()
                if entry.subject == subject
                or (version_id is not None and entry.links.get("model_version") == version_id)
            ]
        )

    def _read(self) -> list[Entry]:
        if self._entries is None:
            self._entries = []
            log = configured_log()
            if log is None:
                self._problem = "No audit log is configured for this process."
                return self._entries
            lines = list(log.lines())
            found = verify(lines)
            if not found.whole:
                self._problem = f"The audit log is broken at entry {found.broken}: {found.problem}."
            for line in lines:
                try:
                    self._entries.append(parse_entry(line.removesuffix(b"\n")))
                except MalformedEntryError:
                    continue
        return self._entries

    def _node(self, entries: list[Entry]) -> Node:
        if not entries:
            return missing(Kind.AUDIT, "audit log", self._problem or "The audit log has no entry about it.")
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
            state=State.CHANGED if self._problem else State.RECORDED,
            note=self._problem,
            facts={"entries": rows},
        )
