"""From flagged checks to alerts: persistence, and one alert for as long as it lasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from zenml_airflow.contracts.frozen import Frozen
from zenml_mlops.monitoring.checks import Check, CheckKind
from zenml_mlops.monitoring.config import Persistence, PersistenceRules


class Alert(Frozen):
    """A check that stays flagged.

    Attributes:
        key: Kind and subject of the check.
        opened: Day on which it became an alert; the first of the window if it is older than that.
        is_new: Whether that is the day that was asked about; only then a notification is sent.
        flagged_days: Flagged days of the window.
        evidence: What was found on the day, or on the last flagged one.
    """

    key: str
    kind: CheckKind
    opened: date
    is_new: bool
    flagged_days: int
    evidence: str


def open_alerts(checks: Mapping[date, Sequence[Check]], persistence: PersistenceRules) -> list[Alert]:
    """The alerts that are open on the last of some days.

    An alert opens on a flagged day if enough of the last days are flagged too; it closes when none of as many days
    is flagged. Days without a partition are no days here: they neither confirm nor calm.

    Args:
        checks: The checks of each day that was scored, in order of the days.
        persistence: How many of how many days, by kind.
    """
    days = list(checks)
    flagged = {day: {check.key: check for check in found if check.flagged} for day, found in checks.items()}
    alerts = []
    for key in sorted({key for found in flagged.values() for key in found}):
        last = next(found[key] for found in reversed(flagged.values()) if key in found)
        rule: Persistence = getattr(persistence, last.kind.value)
        opened = _opened([key in flagged[day] for day in days], rule)
        if opened is not None:
            alerts.append(
                Alert(
                    key=key,
                    kind=last.kind,
                    opened=days[opened],
                    # One that is open on the first day of all may be older than that.
                    is_new=opened == len(days) - 1,
                    flagged_days=sum(key in found for found in flagged.values()),
                    evidence=last.evidence,
                )
            )
    return alerts


def _opened(flags: Sequence[bool], rule: Persistence) -> int | None:
    """Number of the day on which the alert that is open at the end was opened."""
    opened = None
    for number, flag in enumerate(flags):
        recent = flags[max(0, number + 1 - rule.of) : number + 1]
        if opened is None and flag and sum(recent) >= rule.flagged:
            opened = number
        elif opened is not None and not any(recent):
            opened = None
    return opened
