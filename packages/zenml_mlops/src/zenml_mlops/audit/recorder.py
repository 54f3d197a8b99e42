"""Record an event in the log that this process was told of."""

from __future__ import annotations

import getpass
import json
import logging
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from zenml_mlops.audit.entries import Event, Head, Outcome, parse_entry
from zenml_mlops.audit.log import AUDIT_LOG_ENV, configured_log

log = logging.getLogger(__name__)

HEAD_METADATA = "audit_head"
"""Key of the metadata of a ZenML run or model version that holds the log's head after an entry about it."""


def record(
    action: str,
    subject: str,
    outcome: Outcome,
    *,
    actor: str | None = None,
    reason: str | None = None,
    verdicts: Iterable[Mapping[str, Any]] = (),
    links: Mapping[str, str | None] | None = None,
) -> Head | None:
    """Add an event to the audit log.

    Args:
        actor: Who did it; the user of the operating system by default.
        links: Ids of the other records; those that are ``None`` are left out.

    Returns:
        The head of the log, to be recorded in ZenML under :data:`HEAD_METADATA`; ``None`` where the process has no
        log, as a data scientist's own ZenML client.

    Raises:
        AuditError: If the log cannot be written. What was to be recorded must not go on then.
    """
    event = Event(
        actor=actor or current_user(),
        action=action,
        subject=subject,
        outcome=outcome,
        reason=reason,
        verdicts=tuple(dict(verdict) for verdict in verdicts),
        links={name: value for name, value in (links or {}).items() if value is not None},
    )
    target = configured_log()
    if target is None:
        _log_once()
        return None
    return target.append(event).head


def recorded_head(outcome: Outcome, links: Mapping[str, str]) -> Head | None:
    """The head of the log as the first entry with an outcome and these links left it; ``None`` without one.

    A process that died between an entry and what follows it has left the entry.
    """
    log = configured_log()
    if log is None:
        return None
    needles = [json.dumps(value)[1:-1].encode("ascii") for value in links.values()]
    for line in log.lines():
        if line.endswith(b"\n") and all(needle in line for needle in needles):
            entry = parse_entry(line[:-1])
            if entry.outcome is outcome and links.items() <= entry.links.items():
                return entry.head
    return None


def current_user() -> str:
    """The user of the operating system that runs this process, as an actor."""
    return f"user:{getpass.getuser()}"


def airflow_actor(metadata: Mapping[str, Any]) -> str | None:
    """The DAG run that a ZenML run belongs to, from the run's metadata; ``None`` if Airflow did not start it."""
    dag, run = metadata.get("dag_id"), metadata.get("dag_run_id")
    return f"airflow:{dag}/{run}" if dag and run and dag != "cli" else None


@cache
def _log_once() -> None:
    log.info("Decisions of this process are not recorded: %s names no audit log.", AUDIT_LOG_ENV)
