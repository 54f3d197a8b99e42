"""Snapshots after they were made: which there are, what each of them is, how two of them differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from zenml_airflow.manifest.manifest import Deployment, Manifest

if TYPE_CHECKING:
    from zenml.models import PipelineSnapshotResponse

DEPLOYMENT_KEY = "airflow_deployment"
"""Key of a snapshot's ``extra`` that holds its :class:`Deployment`."""

ABSENT = "(absent)"
"""What a difference shows where one of the two has no such entry."""


class SnapshotError(ValueError):
    """There is no such snapshot, or it was not made by a deployment."""


def deployment_of(snapshot: PipelineSnapshotResponse) -> Deployment | None:
    """What the deployment of a snapshot recorded, or ``None`` for one that was made in another way."""
    recorded = snapshot.pipeline_configuration.extra.get(DEPLOYMENT_KEY)
    return Deployment.model_validate(recorded) if recorded else None


def deployed_snapshots(environment: str, pipeline: str | None = None) -> Iterator[PipelineSnapshotResponse]:
    """Yield the snapshots that were deployed to an environment, the newest first."""
    from zenml.client import Client
    from zenml.utils.pagination_utils import depaginate

    found = depaginate(
        Client().list_snapshots, named_only=True, pipeline=pipeline, sort_by="desc:created", size=50, hydrate=True
    )
    for snapshot in found:
        deployment = deployment_of(snapshot)
        if deployment is not None and deployment.environment == environment:
            yield snapshot


def get_snapshot(name: str) -> PipelineSnapshotResponse:
    """The deployed snapshot of a name or an id.

    Raises:
        SnapshotError: If there is none, or no deployment made it.
    """
    from zenml.client import Client

    try:
        snapshot = Client().get_snapshot(name, allow_prefix_match=False)
    except (KeyError, ValueError) as error:
        raise SnapshotError(f"No snapshot {name!r}: `mlops snapshots list` shows them. ({error})") from None
    if deployment_of(snapshot) is None:
        raise SnapshotError(
            f"Snapshot {name!r} does not say how it was deployed: it was made with another version of "
            "`mlops deploy`, or without it. Deploy its commit again."
        )
    return snapshot


def manifest_of(snapshot: PipelineSnapshotResponse) -> Manifest:
    """The manifest that the deployment of a snapshot wrote.

    Raises:
        SnapshotError: If no deployment made it.
    """
    from zenml_airflow.deploy.flavor import ManifestAirflowOrchestrator

    deployment = deployment_of(snapshot)
    if deployment is None:
        raise SnapshotError(f"Snapshot {snapshot.name!r} was not made by `mlops deploy`.")
    return ManifestAirflowOrchestrator.build_manifest(snapshot, deployment)


def facts_of(snapshot: PipelineSnapshotResponse) -> dict[str, dict[str, Any]]:
    """What makes a snapshot what it is, in sections of plain values by dotted key.

    Raises:
        SnapshotError: If no deployment made it.
    """
    manifest = manifest_of(snapshot)
    settings: dict[str, Any] = {}
    for name, step in snapshot.step_configurations.items():
        of_step = {key: value.model_dump(mode="json") for key, value in step.config.settings.items()}
        settings[name] = {"parameters": step.config.parameters, "settings": of_step}
    sections: dict[str, Any] = {
        "code": manifest.code.model_dump(),
        "stack": manifest.stack.model_dump(),
        "image": {"digest": manifest.image_digest},
        "policies": {
            verdict.policy: f"{'passed' if verdict.passed else 'failed'} ({verdict.mode})"
            for verdict in manifest.policies
        },
        "steps": {step.name: step.model_dump(mode="json", exclude={"name"}) for step in manifest.steps},
        "settings": settings,
    }
    return {section: dict(_flat(content)) for section, content in sections.items()}


def differences(
    before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, tuple[Any, Any]]]:
    """How the facts of two snapshots differ: by section and key, the value before and the value after."""
    found: dict[str, dict[str, tuple[Any, Any]]] = {}
    for section in before:
        old, new = before[section], after[section]
        keys = [*old, *(key for key in new if key not in old)]
        changed = {
            key: (old.get(key, ABSENT), new.get(key, ABSENT))
            for key in keys
            if old.get(key, ABSENT) != new.get(key, ABSENT)
        }
        if changed:
            found[section] = changed
    return found


def _flat(content: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(content, Mapping):
        yield prefix, list(content) if isinstance(content, tuple) else content
        return
    for key, value in content.items():
        yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
