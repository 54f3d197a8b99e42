"""What persons decided about a version: approved or rejected for a stage."""

from __future__ import annotations

from typing import Any

from pydantic import AwareDatetime, Field
from zenml.models import ModelVersionResponse

from zenml_airflow.contracts.frozen import Frozen

APPROVALS_METADATA = "approvals"
"""Key of a version's metadata that lists the approvals and rejections, oldest first."""


class Approval(Frozen):
    """A person's decision on a version.

    Attributes:
        links: Ids of other records, such as ``dag_run`` and ``comparison_run``.
    """

    stage: str
    approved: bool
    by: str = Field(min_length=1)
    at: AwareDatetime
    reason: str
    links: dict[str, str] = {}


def approvals(version: ModelVersionResponse) -> tuple[Approval, ...]:
    """The decisions on a version, the oldest first."""
    recorded: Any = version.run_metadata.get(APPROVALS_METADATA, [])
    return tuple(map(Approval.model_validate, recorded))


def latest_approval(version: ModelVersionResponse, stage: str) -> Approval | None:
    """The decision that holds for a stage: the last one; ``None`` if there is none."""
    return next((found for found in reversed(approvals(version)) if found.stage == stage), None)
