"""Promotion: which version may enter a stage, how it gets there and back, and what really changed."""

from zenml_airflow.contracts.model_records import Approval
from zenml_mlops.promotion.errors import NothingToRollBackToError, PromotionRefusedError, TransitionError
from zenml_mlops.promotion.lock import LockedError
from zenml_mlops.promotion.plans import Preview
from zenml_mlops.promotion.records import Kind, Record, State, Transition, history, withdrawn_versions
from zenml_mlops.promotion.service import (
    PromotionResult,
    archive,
    candidate_or_refusal,
    decide,
    latest_candidate,
    preview_promotion,
    preview_rollback,
    promote,
    resume,
    rollback,
    withdraw,
)
from zenml_mlops.promotion.versions import TRAINING_METADATA, describe_version

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
    "candidate_or_refusal",
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
