"""The subject of an approval of a model version: written by the task, read by the page "Models".

Airflow stores a required action as text alone, so its subject names the version. Imports neither Airflow nor
ZenML.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SUBJECT = re.compile(r"Promote (?P<model>.+) version (?P<version>\d+) to (?P<stage>\w+)\?")


@dataclass(frozen=True)
class ApprovalSubject:
    """Whether a version may enter a stage."""

    model: str
    version: int
    stage: str

    def __str__(self) -> str:
        return f"Promote {self.model} version {self.version} to {self.stage}?"

    @classmethod
    def parse(cls, subject: str) -> ApprovalSubject | None:
        """Read a subject; ``None`` if it asks something else."""
        found = _SUBJECT.fullmatch(subject)
        return None if found is None else cls(found["model"], int(found["version"]), found["stage"])
