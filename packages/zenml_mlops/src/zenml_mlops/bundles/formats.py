"""Which artifacts may travel: those that are loaded without running what their file says.

A model is stored by a materializer of this platform that loads skops; the rest is plain data: pydantic models as
JSON, and pages. Frames stay where they are: a bundle carries no record of a person.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import Any, Final

from zenml.enums import ArtifactType, VisualizationType

from zenml_mlops.bundles.errors import BundleRefusedError
from zenml_mlops.bundles.manifest import Artifact
from zenml_mlops.materializers import SkopsMaterializer, UntrustedTypeError

_PLAIN: Final = frozenset(
    {
        "zenml.materializers.pydantic_materializer.PydanticMaterializer",
        "zenml.materializers.structured_string_materializer.StructuredStringMaterializer",
    }
)

_SHOWN: Final = frozenset({VisualizationType.HTML.value, VisualizationType.MARKDOWN.value})
"""What ZenML may show of an imported artifact."""

_THIRD_PARTY: Final = ("sklearn", "zenml")


def travels(type_: str, materializer: str) -> bool:
    """Whether an artifact is meant to travel, by its type and the class that stores it."""
    return type_ == ArtifactType.MODEL.value or materializer in _PLAIN


def showable(kind: str) -> bool:
    """Whether ZenML shows this kind of visualization of an imported artifact."""
    return kind in _SHOWN


def check_formats(
    artifacts: Iterable[Artifact], packages: tuple[str, ...], read: Callable[[str], bytes], files: Iterable[str]
) -> None:
    """Make sure that each artifact is in a safe format, without loading any.

    Args:
        packages: Packages whose classes may be named; nothing of another one is imported.
        read: Gives the content of a file of the bundle.

    Raises:
        BundleRefusedError: If one of them is not, or there is no model.
    """
    paths, models = list(files), 0
    for artifact in artifacts:
        stored = [path for path in paths if path.rpartition("/")[0] == artifact.folder]
        problem = _problem(artifact, packages, stored)
        if problem is None and artifact.type == ArtifactType.MODEL.value:
            models += 1
            problem = _model_problem(artifact, stored, read)
        if problem is not None:
            raise BundleRefusedError(f"The artifact {artifact.name!r} cannot be exported: {problem}.")
    if not models:
        raise BundleRefusedError("The version has no model artifact, so nothing could score with it.")


def _problem(artifact: Artifact, packages: tuple[str, ...], stored: list[str]) -> str | None:
    if not stored:
        return "it has no file"
    if artifact.type not in {kind.value for kind in ArtifactType}:
        return f"ZenML knows no type {artifact.type!r}"
    if not set(artifact.shown.values()) <= _SHOWN:
        return "it shows more than pages"
    if not _within(artifact.data_type, (*packages, *_THIRD_PARTY)):
        return f"its type {artifact.data_type} belongs to none of the packages {sorted(packages)}"
    if artifact.type == ArtifactType.MODEL.value:
        if not _within(artifact.materializer, packages):
            return f"its materializer {artifact.materializer} belongs to none of the packages {sorted(packages)}"
        return None
    if artifact.materializer not in _PLAIN:
        return f"{artifact.materializer} does not store plain data"
    return None


def _model_problem(artifact: Artifact, stored: list[str], read: Callable[[str], bytes]) -> str | None:
    materializer = _loaded(artifact.materializer)
    if not (isinstance(materializer, type) and issubclass(materializer, SkopsMaterializer)):
        return f"{artifact.materializer} does not store skops, and loading anything else runs what the file says"
    expected = {f"{artifact.folder}/{materializer.FILE}", f"{artifact.folder}/{materializer.FILE}.sha256"}
    if set(stored) != expected:
        return f"its files must be {sorted(expected)}, found {stored}"
    try:
        materializer.audit(read(f"{artifact.folder}/{materializer.FILE}"))
    except UntrustedTypeError as error:
        return str(error).rstrip(".")
    except Exception as error:  # noqa: BLE001 - whatever skops says of a file that is none
        return f"its file cannot be read as skops ({type(error).__name__}: {error})"
    return None


def _within(path: str, packages: tuple[str, ...]) -> bool:
    return path.partition(".")[0] in packages


def _loaded(path: str) -> Any:
    module, _, attribute = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError):
        return None
