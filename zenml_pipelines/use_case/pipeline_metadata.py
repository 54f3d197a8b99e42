"""The metadata of the pipelines, which the policies demand."""

from __future__ import annotations

from typing import Any, Final

OWNER: Final = "data-science"
DATA_CLASSIFICATION: Final = "de-identified-health"
DATA_TAG: Final = f"data:{DATA_CLASSIFICATION}"

_PURPOSES: Final = {
    "training": "Train the model of the risk that a patient is readmitted within 30 days of discharge.",
    "batch_inference": "Score each day's discharges with the risk of readmission within 30 days.",
    "champion_challenger": (
        "Compare a new version of the readmission model with the one in production, before it is promoted."
    ),
    "monitoring": "Detect when scored days, or their outcomes, are no longer what the model was evaluated on.",
}


def pipeline_metadata(pipeline: str, kind: str) -> dict[str, Any]:
    """The arguments of ``@pipeline`` that say who owns it, what it is for, and what data it reads.

    Args:
        kind: What the policies know it as, such as ``training`` or ``batch-inference``.
    """
    return {
        "tags": [f"team:{OWNER}", f"kind:{kind}", DATA_TAG],
        "extra": {"owner": OWNER, "purpose": _PURPOSES[pipeline], "data_classification": DATA_CLASSIFICATION},
    }
