"""What a snapshot, a run or a model was made from."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import entry_points, version
from importlib.util import find_spec
from pathlib import Path

from pydantic import Field

from zenml_airflow.contracts.extensions import PLATFORM
from zenml_airflow.contracts.frozen import Frozen

DISTRIBUTION = "airflow-provider-zenml"
"""The package that the bridge is installed as."""


class Provenance(Frozen):
    """The code and what it ran with; ``None`` is what is not known or not there.

    Attributes:
        commit: Git commit of the project's checkout.
        dirty: Whether the checkout differed from that commit.
        lock: sha256 of the dependency lock in the checkout.
        image: Image that the steps run in, where they need one.
        platform: Each installed package of the platform, see :func:`platform_versions`.
    """

    commit: str | None = None
    dirty: bool | None = None
    lock: str | None = None
    image: str | None = None
    platform: dict[str, str] = Field(default_factory=dict)


@cache
def platform_modules() -> dict[str, str]:
    """The platform's top-level modules, the bridge and those of :data:`PLATFORM`, each with its package."""
    named = {entry.value: entry.dist.name for entry in entry_points(group=PLATFORM) if entry.dist is not None}
    return {"zenml_airflow": DISTRIBUTION, **named}


@cache
def platform_versions() -> dict[str, str]:
    """Version and content of each package of the platform, by name: ``0.1.0+`` and the first digits of a sha256.

    A version alone would not tell a package that was changed between two releases, or in a checkout.
    """
    return {
        name: f"{version(name)}+{_content(module)[:12]}" for module, name in sorted(platform_modules().items())
    }


def _content(module: str) -> str:
    """sha256 over the files of a module's folder, byte code left out."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return "missing"
    folder, digest = Path(spec.origin).parent, hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(folder).as_posix()}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
