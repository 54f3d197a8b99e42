"""The audit log: every decision, in the order in which it was made, each entry with the hash of the one before."""

from zenml_mlops.audit.entries import Entry, Head, Outcome
from zenml_mlops.audit.log import AUDIT_LOG_ENV, AuditError, configured_log, open_log
from zenml_mlops.audit.recorder import HEAD_METADATA, airflow_actor, current_user, record, recorded_head
from zenml_mlops.audit.verification import Verification, verify

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
