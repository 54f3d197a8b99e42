"""The numbers of all benchmarks: kept as JSON, shown as Markdown and as a plot."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine

JSON_FILE = "results.json"
MARKDOWN_FILE = "results.md"
PLOT_FILE = "results.png"
CONDITIONS = ("quick", "data", "active_runs")
"""What must be the same for contenders of two runs to stand in one table."""


@dataclass
class Results:
    """What was measured on one machine, with one set of versions.

    Attributes:
        machine: The machine and the versions.
        benchmarks: What each benchmark measured, by its name.
    """

    machine: dict[str, Any]
    benchmarks: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path) -> Results:
        """Read what an earlier run left; nothing where there is none."""
        path = folder / JSON_FILE
        if not path.is_file():
            return cls(describe_machine())
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(content["machine"], content["benchmarks"])

    def add(self, name: str, measured: dict[str, Any]) -> None:
        """Take up a benchmark; numbers of another machine or of other versions are dropped first.

        Contenders that run one after the other do not need each other: those that were not measured again keep
        their numbers, with the time at which they were measured, if the conditions are the same.
        """
        here = describe_machine()
        if here != self.machine:
            self.machine, self.benchmarks = here, {}
        known = self.benchmarks.get(str(name), {})
        if "contenders" in measured and all(known.get(key) == measured[key] for key in CONDITIONS):
            measured = {**measured, "contenders": {**_timed(known), **_timed(measured)}}
        self.benchmarks[str(name)] = measured

    def write(self, folder: Path) -> list[Path]:
        """Write numbers, report and plot; return the files."""
        from benchmarks.plot import draw
        from benchmarks.report import render

        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / name for name in (JSON_FILE, MARKDOWN_FILE, PLOT_FILE)]
        content = {"machine": self.machine, "benchmarks": self.benchmarks}
        paths[0].write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        paths[1].write_text(render(content), encoding="utf-8")
        draw(content, paths[2])
        return paths


def _timed(measured: dict[str, Any]) -> dict[str, Any]:
    when = measured["measured"]
    return {name: {"measured": when, **result} for name, result in measured["contenders"].items()}
