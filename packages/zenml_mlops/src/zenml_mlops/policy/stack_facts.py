"""What the policies look at in a component, from its plain configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zenml_mlops.policy.facts import ComponentFacts

_ALWAYS_ENCRYPTED = frozenset({"gcp", "azure"})
"""Flavors whose provider encrypts every object at rest (Google Cloud Storage, Azure Storage)."""


def component_facts(
    kind: str, name: str, flavor: str, configuration: Mapping[str, Any], *, local: bool
) -> ComponentFacts:
    """Describe a component, registered or about to be.

    Args:
        local: Whether ZenML says that it keeps its state on one machine.
    """
    location = configuration.get("path")
    client: dict[str, Any] = configuration.get("client_kwargs") or {}
    return ComponentFacts(
        kind=kind,
        name=name,
        flavor=flavor,
        local=local,
        location=None if location is None else str(location),
        encrypted=_encrypted(flavor, configuration),
        region=client.get("region_name"),
    )


def _encrypted(flavor: str, configuration: Mapping[str, Any]) -> bool | None:
    if flavor in _ALWAYS_ENCRYPTED:
        return True
    asked: dict[str, Any] = configuration.get("s3_additional_kwargs") or {}
    return bool(asked.get("ServerSideEncryption")) if flavor == "s3" else None
