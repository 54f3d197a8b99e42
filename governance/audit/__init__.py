"""The audit log: every decision, in the order in which it was made, each entry with the hash of the one before."""

from governance.audit.entries import Entry, Head, Outcome
from governance.audit.log import AUDIT_LOG_ENV, AuditError, configured_log, open_log
from governance.audit.lookup import recorded_head
from governance.audit.recorder import HEAD_METADATA, airflow_actor, current_user, record
from governance.audit.verification import Verification, verify

__all__ = [
    "AUDIT_LOG_ENV",
    "HEAD_METADATA",
    "AuditError",
    "Entry",
    "Head",
    "Outcome",
    "Verification",
    "airflow_actor",
    "configured_log",
    "current_user",
    "open_log",
    "record",
    "recorded_head",
    "verify",
]
