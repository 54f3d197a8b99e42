"""Compile a pipeline into an immutable snapshot and the manifest that Airflow reads."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from zenml_airflow.code_archive import build_archive, upload_archive
from zenml_airflow.manifest import CodeRef, Manifest, PolicyVerdict, write_manifest

if TYPE_CHECKING:
    from zenml.models import PipelineSnapshotResponse
    from zenml.pipelines.pipeline_definition import Pipeline

    from zenml_airflow.flavor import TaskDefaults
    from zenml_airflow.settings import Settings


class DeploymentError(RuntimeError):
    """A pipeline cannot be deployed as asked."""


class GitState(BaseModel):
    """Commit of a checkout and whether it differs from it; both empty outside of git."""

    model_config = ConfigDict(frozen=True)

    commit: str | None
    dirty: bool


def git_state(root: Path) -> GitState:
    """Read the git commit of a folder; a folder outside of git has none."""

    def git(*arguments: str) -> str | None:
        try:
            result = subprocess.run(
                ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False, timeout=30
            )
        except (FileNotFoundError, subprocess.TimeoutExpired):
            return None
        return result.stdout.strip() if result.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    return GitState(commit=commit, dirty=commit is not None and bool(git("status", "--porcelain")))


def deploy_pipeline(
    pipeline: Pipeline,
    arguments: dict[str, Any],
    *,
    settings: Settings,
    packages: Sequence[str],
    policies: tuple[PolicyVerdict, ...] = (),
    extra: Mapping[str, Any] | None = None,
) -> tuple[Manifest, Path]:
    """Create the snapshot of a pipeline on the active stack and write its manifest.

    The snapshot's name holds a digest of code, arguments, stack and task options: deploying the same thing
    twice finds the first snapshot again, and a changed one never replaces it.

    Args:
        pipeline: The pipeline, not yet prepared.
        arguments: Its arguments.
        settings: Settings of the environment.
        packages: Packages that travel with the snapshot, relative to the project root.
        policies: Verdicts to record in the manifest.
        extra: What else to record in the snapshot, as JSON.

    Returns:
        The manifest and where it was written.

    Raises:
        DeploymentError: If the active stack is not one that Airflow runs.
    """
    from zenml.client import Client
    from zenml.utils import source_utils

    from zenml_airflow.flavor import ManifestAirflowOrchestrator

    source_utils.set_custom_source_root(str(settings.project_root))
    stack = Client().active_stack
    orchestrator = stack.orchestrator
    if not isinstance(orchestrator, ManifestAirflowOrchestrator):
        raise DeploymentError(
            f"Stack {stack.name!r} has an orchestrator of flavor {orchestrator.flavor!r}, Airflow needs "
            "'zenml_airflow'. Apply the environment's stack with `mlops stack apply`."
        )
    content, digest = build_archive(settings.project_root, packages)
    upload_archive(content, digest, stack.artifact_store)
    git = git_state(settings.project_root)
    code = CodeRef(commit=git.commit, dirty=git.dirty, digest=digest)
    defaults = task_defaults(settings)
    snapshot = _snapshot(pipeline, arguments, settings, code, defaults, extra or {})
    manifest = orchestrator.build_manifest(
        snapshot,
        environment=settings.environment,
        code=code,
        policies=policies,
        defaults=defaults,
        config_digest=settings.deployed_digest(pipeline.name),
        image=getattr(settings.airflow.options_of(settings.airflow.launcher), "image", None),
    )
    return manifest, write_manifest(manifest, settings.manifests_dir)


def task_defaults(settings: Settings) -> TaskDefaults:
    """What holds in an environment for a step that says nothing about its Airflow task."""
    from zenml_airflow.flavor import TaskDefaults

    airflow = settings.airflow
    return TaskDefaults(
        launcher=airflow.launcher,
        retries=airflow.retries,
        retry_delay_seconds=airflow.retry_delay_seconds,
        timeout_seconds=airflow.timeout_seconds,
    )


def _snapshot(
    pipeline: Pipeline,
    arguments: dict[str, Any],
    settings: Settings,
    code: CodeRef,
    defaults: TaskDefaults,
    extra: Mapping[str, Any],
) -> PipelineSnapshotResponse:
    from zenml.client import Client
    from zenml.enums import ExecutionMode

    from zenml_airflow.flavor import step_options

    client = Client()
    fingerprint = {
        "code": code.digest,
        "commit": code.commit,
        "dirty": code.dirty,
        "stack": str(client.active_stack_model.id),
        "arguments": {
            key: value.model_dump(mode="json") if isinstance(value, BaseModel) else value
            for key, value in arguments.items()
        },
        "defaults": defaults.model_dump(mode="json"),
        "extra": extra,
    }
    digest = hashlib.sha256(json.dumps(fingerprint, sort_keys=True, default=str).encode()).hexdigest()
    name = f"{settings.environment}-{pipeline.name}-{digest[:16]}"
    known = client.list_snapshots(name=name, size=1, hydrate=True)
    if known.items:
        return known.items[0]
    if pipeline.configuration.execution_mode is not ExecutionMode.CONTINUE_ON_FAILURE:
        raise DeploymentError(
            f"Pipeline {pipeline.name!r} asks for execution mode {pipeline.configuration.execution_mode.value!r}, "
            "which has no effect under Airflow: Airflow decides what runs after a failure. Remove execution_mode."
        )
    pipeline.prepare(**arguments)
    retries = {}
    for step_name, invocation in pipeline.invocations.items():
        count = defaults.retries_of(step_options(invocation.step.configuration.extra))
        if count:
            # Tells ZenML how many failed tries of the step to expect before the run itself has failed.
            retries[step_name] = {"retry": {"max_retries": count}}
    configured = pipeline.with_options(
        step_configurations=retries,
        extra={**extra, "code_digest": code.digest, "environment": settings.environment},
    )
    configured.prepare(**arguments)
    return configured.create_snapshot(
        name=name, description=f"{pipeline.name} for {settings.environment}, code {code.digest[:12]}"
    )
