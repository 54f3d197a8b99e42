"""What a snapshot, a run or a model was made from."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points, version

from pydantic import BaseModel, ConfigDict, Field

from zenml_airflow.contracts.extensions import EXTENSIONS

DISTRIBUTION = "airflow-provider-zenml"
"""The package that the bridge is installed as."""


class Provenance(BaseModel):
    """The code and what it ran with; ``None`` is what is not known or not there.

    Attributes:
        commit: Git commit of the project's checkout.
        dirty: Whether the checkout differed from that commit.
        lock: sha256 of the dependency lock in the checkout.
        image: Image that the steps run in, where they need one.
        platform: Version of each installed package of the platform.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    commit: str | None = None
    dirty: bool | None = None
    lock: str | None = None
    image: str | None = None
    platform: dict[str, str] = Field(default_factory=dict)


@cache
def platform_modules() -> dict[str, str]:
    """The platform's top-level modules, of the bridge and of what extends it, each with its package."""
    found = entry_points()
    extending = {
        entry.module.partition(".")[0]: entry.dist.name
        for group in EXTENSIONS
        for entry in found.select(group=group)
        if entry.dist is not None
    }
    return {"zenml_airflow": DISTRIBUTION, **extending}


@cache
def platform_versions() -> dict[str, str]:
    """Version of each package of the platform, by name."""
    return {name: version(name) for name in sorted(platform_modules().values())}
