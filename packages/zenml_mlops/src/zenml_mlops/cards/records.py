"""The card of a version from ZenML's records."""

from __future__ import annotations

from typing import Any

from zenml.client import Client

from zenml_mlops.cards.card import CARD_CONTENT_ARTIFACT, DECISIONS_METADATA, CardContent, Decision


class NoCardError(RuntimeError):
    """A version has no card. The message says why and what to do."""


def recorded_card(model: str, version: int | None = None) -> CardContent:
    """What the card of a version shows now: what its training recorded, and the decisions on it since.

    Args:
        version: Number of the version; the newest by default.

    Raises:
        NoCardError: If there is no such version, or its training wrote no card.
    """
    try:
        found = Client().get_model_version(model, "latest" if version is None else version)
    except KeyError:
        wanted = "version" if version is None else f"version {version}"
        raise NoCardError(
            f"The model {model!r} has no {wanted}; `zenml model version list --model {model}` lists what there is."
        ) from None
    artifact = found.get_artifact(CARD_CONTENT_ARTIFACT)
    if artifact is None:
        raise NoCardError(
            f"Version {found.number} of {model!r} has no model card: its run failed before the card was written, "
            "or its pipeline has no such step. Train it again."
        )
    content: CardContent = artifact.load()
    decisions: Any = found.run_metadata.get(DECISIONS_METADATA, [])
    return content.model_copy(update={"decisions": tuple(map(Decision.model_validate, decisions))})
