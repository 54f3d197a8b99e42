"""The manifest: what Airflow needs to know of a compiled pipeline, as reviewable JSON.

A manifest is written when a pipeline is deployed and read when a DAG file is parsed. It holds no credential and no
path of a machine, so it can be committed, diffed and synced. This module imports neither Airflow nor ZenML.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from zenml_airflow.contracts.enums import Launcher
from zenml_airflow.contracts.frozen import Deferred
from zenml_airflow.contracts.problems import describe
from zenml_airflow.contracts.provenance import Provenance

SCHEMA_VERSION = 5


class ManifestError(ValueError):
    """A manifest is missing, damaged or of another schema."""


class CodeRef(Provenance):
    """What a snapshot was compiled from.

    Attributes:
        digest: sha256 of the code archive that the steps run from.
    """

    digest: str = Field(pattern=r"^[0-9a-f]{64}$")


class StackRef(Deferred):
    """Name of a ZenML stack and, by component type, the flavor of each of its components."""

    name: str
    components: dict[str, str]


class PolicyVerdict(Deferred):
    """What one policy said when the pipeline was deployed."""

    policy: str
    mode: str
    passed: bool
    message: str


class Resources(Deferred):
    """What a step asks for; ``None`` where it asks for nothing."""

    cpu_count: float | None = None
    memory: str | None = None
    gpu_count: int | None = None


class StepSpec(Deferred):
    """One step of the pipeline.

    Attributes:
        name: Invocation id of the step, unique within the pipeline.
        image: Image by digest; ``None`` where the launcher needs none.
        retry_delay_seconds: Wait before the first retry; doubles with each further one.
        gate: Whether the step may stop the pipeline on purpose, and so gets a task of its own to be seen.
        sharded: Whether tasks before it may work on parts of what it does, see ``docs/airflow-bridge.md``.
        observer: Whether it only observes the pipeline: a task of its own, which updates no asset.
    """

    name: str
    upstream: tuple[str, ...]
    resources: Resources
    image: str | None
    operator: Launcher
    timeout_seconds: int
    retries: int
    retry_delay_seconds: int
    gate: bool = False
    sharded: bool = False
    observer: bool = False


class Deployment(Deferred):
    """What a deployment knew when it made a snapshot, and what the snapshot does not say by itself.

    Attributes:
        defaults: What held for a step that says nothing about its Airflow task.
        image: Image of steps that name none, by digest.
    """

    environment: str
    code: CodeRef
    policies: tuple[PolicyVerdict, ...]
    defaults: dict[str, Any]
    config_digest: str
    image: str | None


class Manifest(Deferred):
    """A compiled pipeline: snapshot, code, stack, verdicts and steps in topological order.

    Attributes:
        config_digest: Digest of the configuration that was deployed with it.
        checksum: sha256 over the canonical JSON of all other fields.
    """

    schema_version: int
    environment: str
    pipeline: str
    snapshot_id: str
    snapshot_name: str
    config_digest: str
    code: CodeRef
    image_digest: str | None
    stack: StackRef
    policies: tuple[PolicyVerdict, ...]
    steps: tuple[StepSpec, ...] = Field(min_length=1)
    checksum: str = ""

    @model_validator(mode="after")
    def _steps_form_a_graph(self) -> Self:
        names = [step.name for step in self.steps]
        if len(set(names)) != len(names):
            raise ValueError("a step name is used twice")
        if unknown := {up for step in self.steps for up in step.upstream} - set(names):
            raise ValueError(f"upstream steps that do not exist: {sorted(unknown)}")
        try:
            TopologicalSorter({step.name: step.upstream for step in self.steps}).prepare()
        except CycleError as error:
            raise ValueError(f"steps wait for each other: {' -> '.join(error.args[1])}") from error
        for index, step in enumerate(self.steps):
            if late := set(step.upstream) - set(names[:index]):
                raise ValueError(f"{step.name!r} comes before a step that it waits for: {sorted(late)}")
        return self

    def sealed(self) -> Manifest:
        """Return the manifest with its checksum filled in."""
        return self.model_copy(update={"checksum": self._digest()})

    def to_json(self) -> str:
        """Render as sorted, indented JSON that ends with a newline."""
        return json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"

    def _digest(self) -> str:
        content = self.model_dump(mode="json", exclude={"checksum"})
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


def manifest_path(directory: Path, pipeline: str) -> Path:
    """Return where the manifest of a pipeline lies."""
    return directory / f"{pipeline}.json"


def pipeline_tag(pipeline: str) -> str:
    """The tag of the DAGs that run a pipeline."""
    return f"pipeline:{pipeline}"


def write_manifest(manifest: Manifest, directory: Path) -> Path:
    """Write a manifest in one move, so that a reader sees the old file or the new one."""
    directory.mkdir(parents=True, exist_ok=True)
    target = manifest_path(directory, manifest.pipeline)
    with tempfile.NamedTemporaryFile("w", dir=directory, suffix=".tmp", delete=False, encoding="utf-8") as handle:
        handle.write(manifest.sealed().to_json())
    try:
        # Airflow may run as another user than the one who deploys.
        Path(handle.name).chmod(0o644)
        Path(handle.name).replace(target)
    except BaseException:
        Path(handle.name).unlink(missing_ok=True)
        raise
    return target


def read_manifest(path: Path, pipeline: str) -> Manifest:
    """Read and check the manifest of a pipeline.

    Args:
        path: The file, see :func:`manifest_path`.
        pipeline: The pipeline that it must be of.

    Raises:
        ManifestError: If the file is missing, is of a newer schema, breaks the schema, or was changed by hand.
    """
    redeploy = f"Write it with `mlops deploy {pipeline}`."
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ManifestError(f"No manifest for pipeline {pipeline!r} in {path.parent.name}/. {redeploy}") from None
    except ValueError as error:
        raise ManifestError(f"Manifest {path.name} is not valid JSON ({error}). {redeploy}") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise ManifestError(
            f"Manifest {path.name} has schema version {version!r}, this bridge reads {SCHEMA_VERSION}: "
            "upgrade the bridge where Airflow runs, or deploy again with this version."
        )
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        raise ManifestError(
            f"Manifest {path.name} breaks its schema: {describe(error, 'manifest')}. {redeploy}"
        ) from error
    if manifest.checksum != manifest._digest():
        raise ManifestError(
            f"Manifest {path.name} was changed after it was written: its checksum does not match its content. "
            f"{redeploy}"
        )
    if manifest.pipeline != pipeline:
        raise ManifestError(f"Manifest {path.name} is of pipeline {manifest.pipeline!r}. {redeploy}")
    return manifest
