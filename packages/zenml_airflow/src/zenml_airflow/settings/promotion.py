"""How an environment promotes: which verdicts are good enough, who is asked, for how long."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field, model_validator

from zenml_airflow.contracts.frozen import Deferred
from zenml_airflow.contracts.model_records import ComparisonVerdict


class AskFor(StrEnum):
    """When a person is asked before a version enters a stage."""

    POLICY = "policy"
    """Where the policies on model versions demand an approval that the version has not got."""
    ALWAYS = "always"
    """Each time, whatever the policies say."""


class ApprovalSettings(Deferred):
    """Who approves, and for how long the approval stays open.

    Attributes:
        timeout_seconds: After that time without an answer the candidate is rejected.
        roles: Airflow users by role: name by user id, as the auth manager knows it.
        approvers: The role that is asked, by stage.
    """

    ask: AskFor = AskFor.POLICY
    timeout_seconds: int = Field(default=172800, gt=0)
    roles: dict[str, dict[str, str]] = Field(default_factory=dict)
    approvers: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _somebody_is_asked(self) -> ApprovalSettings:
        if empty := sorted({role for role in self.approvers.values() if not self.roles.get(role)}):
            raise ValueError(f"the roles {empty} must approve, but have no users under roles")
        return self

    def users(self, stage: str) -> dict[str, str]:
        """The users who may answer for a stage: name by id.

        Raises:
            ValueError: If nobody is named for the stage.
        """
        if stage not in self.approvers:
            raise ValueError(
                f"No approvers for {stage!r}: name a role under airflow.promotion.approval.approvers in configs/."
            )
        return self.roles[self.approvers[stage]]


class PromotionSettings(Deferred):
    """How an environment promotes.

    Attributes:
        accept: Verdicts of the comparison that let a candidate go on.
    """

    start_paused: bool = True
    accept: tuple[ComparisonVerdict, ...] = Field(
        default=(ComparisonVerdict.BETTER, ComparisonVerdict.NOT_WORSE, ComparisonVerdict.NO_CHAMPION),
        min_length=1,
    )
    approval: ApprovalSettings = Field(default_factory=ApprovalSettings)
