"""Promotion: which version may enter a stage, how it gets there and back, and what really changed."""

from governance.promotion.approvals import Approval
from governance.promotion.errors import NothingToRollBackToError, PromotionRefusedError, TransitionError
from governance.promotion.lock import LockedError
from governance.promotion.plans import Preview
from governance.promotion.records import Kind, Record, State, Transition, history, withdrawn_versions
from governance.promotion.service import (
    PromotionResult,
    archive,
    decide,
    preview_promotion,
    preview_rollback,
    promote,
    resume,
    rollback,
    withdraw,
)
from governance.promotion.versions import TRAINING_METADATA, describe_version, latest_candidate

__all__ = [
    "TRAINING_METADATA",
    "Approval",
    "Kind",
    "LockedError",
    "NothingToRollBackToError",
    "Preview",
    "PromotionRefusedError",
    "PromotionResult",
    "Record",
    "State",
    "Transition",
    "TransitionError",
    "archive",
    "decide",
    "describe_version",
    "history",
    "latest_candidate",
    "preview_promotion",
    "preview_rollback",
    "promote",
    "resume",
    "rollback",
    "withdraw",
    "withdrawn_versions",
]
