"""The outcomes of a run of a promotion DAG, and where its tasks record them."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import Context

OUTCOME_KEY = "outcome"
"""Key of the XCom of the task with which the run ended: ``outcome`` and ``text``."""


class PromotionOutcome(StrEnum):
    """How a promotion that does not fail ends."""

    PROMOTED = "promoted"
    NOT_ACCEPTED = "not accepted"
    """The comparison with the champion speaks against it."""
    REJECTED = "rejected"
    TIMED_OUT = "timed out"
    SUPERSEDED = "superseded"
    """The candidate is not any longer what was compared, or a newer one takes its place."""


def record_outcome(context: Context, outcome: PromotionOutcome, text: str) -> None:
    """Record how the run ends, for the task that sends the notification."""
    context["ti"].xcom_push(key=OUTCOME_KEY, value={"outcome": outcome.value, "text": text})
