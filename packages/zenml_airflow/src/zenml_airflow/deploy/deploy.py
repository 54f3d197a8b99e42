"""Compile a pipeline into an immutable snapshot and the manifest that Airflow reads."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from zenml_airflow.contracts.provenance import Provenance, platform_versions
from zenml_airflow.deploy.snapshots import DEPLOYMENT_KEY
from zenml_airflow.manifest.manifest import CodeRef, Deployment, Manifest, PolicyVerdict, write_manifest
from zenml_airflow.runtime.code_archive import build_archive, upload_archive

if TYPE_CHECKING:
    from zenml.models import PipelineSnapshotResponse
    from zenml.pipelines.pipeline_definition import Pipeline

    from zenml_airflow.deploy.flavor import TaskDefaults
    from zenml_airflow.settings.project import Settings


class DeploymentError(RuntimeError):
    """A pipeline cannot be deployed as asked."""


def git_state(root: Path, generated: str | None = None) -> Provenance:
    """Read the git commit of a folder; a folder outside of git has none.

    Args:
        generated: Folder below it that deployments write and commit: what changes there is no change of code, so
            the commit is the last one, on the line of first parents, that changed anything else.
    """

    def git(*arguments: str) -> str | None:
        try:
            result = subprocess.run(
                ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False, timeout=30
            )
        except (FileNotFoundError, subprocess.TimeoutExpired):
            return None
        return result.stdout.strip() if result.returncode == 0 else None

    code = (".", f":(exclude){generated}") if generated else (".",)
    commit = git("rev-parse", "HEAD")
    if commit is not None and generated:
        commit = git("log", "--first-parent", "-1", "--format=%H", "--", *code) or commit
    changes = "" if commit is None else git("status", "--porcelain", "--", *code)
    return Provenance(commit=commit, dirty=None if changes is None else bool(changes))


def provenance(settings: Settings) -> Provenance:
    """What a deployment from the environment's checkout would be made from, whatever was deployed before."""
    lock = settings.project_root / "uv.lock"
    return git_state(settings.project_root, settings.committed_manifests).model_copy(
        update={
            "lock": hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else None,
            "image": getattr(settings.airflow.options_of(settings.airflow.launcher), "image", None),
            "platform": platform_versions(),
        }
    )


def snapshot_name(environment: str, pipeline: str, code: CodeRef, digest: str) -> str:
    """Name of the snapshot of a pipeline.

    Args:
        digest: Digest of everything that makes the snapshot what it is: the same commit on another stack, or a
            checkout with changes that are not committed, is another snapshot.
    """
    commit = code.commit[:12] if code.commit else "nogit"
    changed = ("dirty",) if code.dirty else ()
    return "-".join((environment, pipeline, commit, *changed, digest[:8]))


def deploy_pipeline(
    pipeline: Pipeline,
    arguments: dict[str, Any],
    *,
    settings: Settings,
    packages: Sequence[str],
    made: Provenance | None = None,
    policies: tuple[PolicyVerdict, ...] = (),
    extra: Mapping[str, Any] | None = None,
) -> tuple[Manifest, Path]:
    """Create the snapshot of a pipeline on the active stack and write its manifest.

    The name of the snapshot holds environment, pipeline, commit, and a digest of code, arguments, stack and task
    options: deploying the same thing twice finds the first snapshot again, and a changed one never replaces it.

    Args:
        pipeline: The pipeline, not yet prepared.
        packages: Packages that travel with the snapshot, relative to the project root.

    Raises:
        DeploymentError: If the active stack is not one that Airflow runs.
    """
    from zenml.client import Client
    from zenml.utils import source_utils

    from zenml_airflow.deploy.flavor import ManifestAirflowOrchestrator

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
    made = made or provenance(settings)
    defaults = task_defaults(settings)
    deployment = Deployment(
        environment=settings.environment,
        code=CodeRef(**made.model_dump(), digest=digest),
        policies=policies,
        defaults=defaults.model_dump(mode="json"),
        config_digest=settings.deployed_digest(pipeline.name),
        image=made.image,
    )
    snapshot = _snapshot(pipeline, arguments, deployment, defaults, extra or {})
    manifest = orchestrator.build_manifest(snapshot, deployment)
    return manifest, write_manifest(manifest, settings.manifests_dir)


def task_defaults(settings: Settings) -> TaskDefaults:
    """What holds in an environment for a step that says nothing about its Airflow task."""
    from zenml_airflow.deploy.flavor import TaskDefaults

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
    deployment: Deployment,
    defaults: TaskDefaults,
    extra: Mapping[str, Any],
) -> PipelineSnapshotResponse:
    from zenml.client import Client
    from zenml.enums import ExecutionMode
    from zenml.exceptions import EntityExistsError

    from zenml_airflow.deploy.flavor import step_options

    client, code = Client(), deployment.code
    fingerprint = {
        "code": code.model_dump(mode="json"),
        "stack": str(client.active_stack_model.id),
        "arguments": {
            key: value.model_dump(mode="json") if isinstance(value, BaseModel) else value
            for key, value in arguments.items()
        },
        "defaults": defaults.model_dump(mode="json"),
        "extra": extra,
    }
    digest = hashlib.sha256(json.dumps(fingerprint, sort_keys=True, default=str).encode()).hexdigest()
    name = snapshot_name(deployment.environment, pipeline.name, code, digest)
    known = _find_snapshot(name)
    if known is not None:
        return known
    if pipeline.configuration.execution_mode is not ExecutionMode.CONTINUE_ON_FAILURE:
        raise DeploymentError(
            f"Pipeline {pipeline.name!r} asks for execution mode {pipeline.configuration.execution_mode.value!r}, "
            "which has no effect under Airflow: Airflow decides what runs after a failure. Remove execution_mode."
        )
    pipeline.prepare(**arguments)
    retries = {}
    for step_name, invocation in pipeline.invocations.items():
        if count := defaults.retries_of(step_options(invocation.step.configuration.extra)):
            # Tells ZenML how many failed tries of the step to expect before the run itself has failed.
            retries[step_name] = {"retry": {"max_retries": count}}
    configured = pipeline.with_options(
        step_configurations=retries,
        extra={
            **extra,
            "code_digest": code.digest,
            "environment": deployment.environment,
            DEPLOYMENT_KEY: deployment.model_dump(mode="json"),
        },
    )
    configured.prepare(**arguments)
    try:
        return configured.create_snapshot(
            name=name, description=f"{pipeline.name} for {deployment.environment}, code {code.digest[:12]}"
        )
    except EntityExistsError:
        # Another deployment of the same made it in the meantime.
        known = _find_snapshot(name)
        if known is None:
            raise
        return known


def _find_snapshot(name: str) -> PipelineSnapshotResponse | None:
    from zenml.client import Client

    return next(iter(Client().list_snapshots(name=name, size=1, hydrate=True).items), None)
