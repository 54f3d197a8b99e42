"""How a run of a promotion DAG can end, and where its tasks write it down."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import Context

END_KEY = "end"
"""Key of the XCom of the task with which the run ended: ``end`` and ``text``."""


class End(StrEnum):
    """How a promotion ends that does not fail."""

    PROMOTED = "promoted"
    NOT_ACCEPTED = "not accepted"
    """The comparison with the champion speaks against it."""
    REJECTED = "rejected"
    TIMED_OUT = "timed out"
    SUPERSEDED = "superseded"
    """The candidate is not any longer what was compared, or a newer one takes its place."""


def say_end(context: Context, end: End, text: str) -> None:
    """Write down how the run ends, for the task that tells people."""
    context["ti"].xcom_push(key=END_KEY, value={"end": end.value, "text": text})
