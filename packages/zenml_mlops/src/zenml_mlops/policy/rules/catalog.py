"""All rules, by name."""

from __future__ import annotations

from zenml_mlops.policy.rules import bundle, dag, model, pipeline, stack  # noqa: F401 - each registers its own
from zenml_mlops.policy.rules.registry import REGISTERED, Rule


def rules() -> dict[str, Rule]:
    """All rules by name."""
    return dict(REGISTERED)
