"""The manifest of a bundle: what the version is, where it comes from, and every file with size and sha256."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, ValidationError, model_validator

from zenml_airflow.contracts.frozen import Frozen
from zenml_airflow.contracts.model_records import Approval
from zenml_airflow.contracts.origins import ChainLink, Hop, Server, SourceRun
from zenml_mlops.audit.entries import canonical
from zenml_mlops.bundles.errors import TamperedError
from zenml_mlops.cards.card import Decision

FORMAT: Final = 1
"""Version of this format; another one is refused before anything else is read."""

MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.json.sig"
EVIDENCE: Final = "evidence.json"
ARTIFACTS: Final = "artifacts"

_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_PATH_LENGTH = 99
_LARGEST = 8 * 1024**3
"""What a plain tar header can say of a file's size."""
_M = TypeVar("_M", bound=BaseModel)


def _plain(path: str) -> str:
    if len(path) > _PATH_LENGTH or not _PATH.fullmatch(path):
        raise ValueError(f"{path[:120]!r} is no path of a file in a bundle")
    return path


Path = Annotated[str, AfterValidator(_plain)]
"""A path that stays in the bundle: plain names, joined by slashes; none begins with a dot."""


class File(Frozen):
    """A file of a bundle, the manifest and its signature left out."""

    path: Path
    size: int = Field(ge=0, lt=_LARGEST)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Artifact(Frozen):
    """An artifact of the version, as ZenML stores it.

    Attributes:
        materializer: The class that stored it, and loads it.
        data_type: The class of what it holds.
        content_hash: ZenML's hash of its content, if it has one.
        folder: Its files' folder in the bundle.
        shown: What ZenML shows of it: path below the folder, and kind.
    """

    name: str = Field(min_length=1)
    type: str
    materializer: str
    data_type: str
    content_hash: str | None = None
    folder: Path
    shown: dict[Path, str] = {}


class Evidence(Frozen):
    """What is recorded of the version on the server that it leaves; a file of its own in the bundle.

    Attributes:
        data_digest: sha256 of the data that it was trained on.
        metadata: Metadata of the version: what it is made of, and its metrics.
        chain: The changes of stages that it went through, oldest first.
        approvals: What persons decided about it, oldest first.
        hops: The servers that it came through before, if it was imported there.
    """

    run: SourceRun
    commit: str | None = None
    data_digest: str | None = None
    metadata: dict[str, Any] = {}
    chain: tuple[ChainLink, ...] = ()
    approvals: tuple[Approval, ...] = ()
    decisions: tuple[Decision, ...] = ()
    hops: tuple[Hop, ...] = ()


class Manifest(Frozen):
    """What a bundle holds.

    Attributes:
        version: Number of the version on the server that it leaves.
        files: Every other file of the bundle, by path.
    """

    format: Literal[1] = FORMAT
    model: str = Field(min_length=1)
    version: int = Field(ge=1)
    version_id: Annotated[str, Field(pattern=r"^[0-9a-f-]{36}$")]
    created: AwareDatetime
    tags: tuple[str, ...] = ()
    source: Server
    artifacts: tuple[Artifact, ...] = Field(min_length=1)
    files: tuple[File, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        paths = [file.path for file in self.files]
        if paths != sorted(set(paths)):
            raise ValueError("the files are not listed once each, in order")
        if EVIDENCE not in paths or {MANIFEST, SIGNATURE} & set(paths):
            raise ValueError(f"the files must name {EVIDENCE}, and neither {MANIFEST} nor {SIGNATURE}")
        folders = [artifact.folder for artifact in self.artifacts]
        if len(set(folders)) != len(folders):
            raise ValueError("two artifacts share a folder")
        if stray := [p for p in paths if p != EVIDENCE and p.rpartition("/")[0] not in folders]:
            raise ValueError(f"the files {stray} belong to no artifact")
        return self

    def files_of(self, artifact: Artifact) -> tuple[File, ...]:
        """The files of an artifact."""
        return tuple(file for file in self.files if file.path.rpartition("/")[0] == artifact.folder)

    def content(self) -> bytes:
        """The manifest as bytes, in one way only."""
        return canonical(self.model_dump(mode="json"))

    @property
    def digest(self) -> str:
        """sha256 of the manifest, which names the bundle and covers every byte of it."""
        return hashlib.sha256(self.content()).hexdigest()


def parse_manifest(content: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        TamperedError: If it is none, of another version of the format, or not written in the one way.
    """
    try:
        plain: Any = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise TamperedError(f"The bundle's {MANIFEST} is not valid JSON: {error}. Fetch it again.") from None
    found = plain.get("format") if isinstance(plain, dict) else None
    if found != FORMAT:
        raise TamperedError(
            f"The bundle has format {found!r}, this version of mlops reads {FORMAT}: export it with the version "
            "that this server runs."
        )
    manifest = _validated(Manifest, content, MANIFEST)
    if manifest.content() != content:
        raise TamperedError(f"The bundle's {MANIFEST} is not written as `mlops export` writes it.")
    return manifest


def parse_evidence(content: bytes) -> Evidence:
    """Read the evidence.

    Raises:
        TamperedError: If it is none.
    """
    return _validated(Evidence, content, EVIDENCE)


def _validated(kind: type[_M], content: bytes, name: str) -> _M:
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise TamperedError(f"The bundle's {name} is wrong: {where}: {first['msg']}.") from None
