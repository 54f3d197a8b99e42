"""The subject of a required action about a model version: written by the task, read by the page "Models".

Airflow keeps a question as text alone, so the text says which version it is about. Imports neither Airflow nor
ZenML.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SUBJECT = re.compile(r"(?P<model>.+) version (?P<version>\d+) to (?P<stage>\w+)\?")


@dataclass(frozen=True)
class Question:
    """Whether a version may enter a stage."""

    model: str
    version: int
    stage: str

    def __str__(self) -> str:
        return f"{self.model} version {self.version} to {self.stage}?"

    @classmethod
    def parse(cls, subject: str) -> Question | None:
        """Read a subject; ``None`` if it asks something else."""
        found = _SUBJECT.fullmatch(subject)
        return None if found is None else cls(found["model"], int(found["version"]), found["stage"])
