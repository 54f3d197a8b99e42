"""Whom the bridge asks before a task runs steps: functions of other packages, found by their entry points.

The bridge knows no policy. A package that has some names a function under the entry point group
``zenml_airflow.run_guards``; it gets a :class:`TaskStart` and raises to refuse.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from zenml_airflow.contracts.extensions import RUN_GUARDS

if TYPE_CHECKING:
    from zenml_airflow.manifest.manifest import PolicyVerdict


@dataclass(frozen=True)
class TaskStart:
    """A task that is about to run steps.

    Attributes:
        environment: Environment that the manifest was deployed for.
        verdicts: What the policies said when it was deployed.
    """

    environment: str
    pipeline: str
    stack: str
    verdicts: tuple[PolicyVerdict, ...]


def ask_guards(start: TaskStart) -> None:
    """Ask every guard.

    Raises:
        Exception: Whatever a guard raises to refuse.
    """
    for entry in entry_points(group=RUN_GUARDS):
        entry.load()(start)
