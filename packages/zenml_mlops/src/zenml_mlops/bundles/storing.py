"""Put the files of a bundle into the artifact store, and tell ZenML of them."""

from __future__ import annotations

from collections.abc import Callable

from zenml.client import Client
from zenml.enums import ArtifactSaveType, ArtifactType, VisualizationType
from zenml.models import (
    ArtifactVersionRequest,
    ArtifactVisualizationRequest,
    ModelVersionArtifactRequest,
    ModelVersionResponse,
)

from zenml_mlops.bundles.archive import Archive
from zenml_mlops.bundles.manifest import Manifest


def store_files(archive: Archive, progress: Callable[[str], None]) -> str:
    """Copy the files of the artifacts into the artifact store of the active stack.

    Their folder is named by the bundle's digest, so that the same bundle is written to the same place.
    """
    store = Client().active_stack.artifact_store
    folder = f"{store.path.rstrip('/')}/imported/{archive.manifest.digest}"
    for artifact in archive.manifest.artifacts:
        progress(f"storing {artifact.name}")
        store.makedirs(f"{folder}/{artifact.folder}")
        for file in archive.manifest.files_of(artifact):
            with store.open(f"{folder}/{file.path}", "wb") as out:
                for block in archive.blocks(file.path):
                    out.write(block)
    return folder


def store_artifacts(manifest: Manifest, version: ModelVersionResponse, folder: str) -> None:
    """Register the artifacts and link them to the version; what is registered already is not registered twice.

    Args:
        folder: Where :func:`store_files` has put the files.
    """
    client = Client()
    store = client.active_stack.artifact_store
    for artifact in manifest.artifacts:
        uri = f"{folder}/{artifact.folder}"
        known = client.list_artifact_versions(uri=uri, size=1).items
        made = (
            known[0]
            if known
            else client.zen_store.create_artifact_version(
                ArtifactVersionRequest(
                    artifact_name=artifact.name,
                    has_custom_name=True,
                    type=ArtifactType(artifact.type),
                    artifact_store_id=store.id,
                    uri=uri,
                    materializer=artifact.materializer,
                    data_type=artifact.data_type,
                    content_hash=artifact.content_hash,
                    visualizations=[
                        ArtifactVisualizationRequest(type=VisualizationType(kind), uri=f"{uri}/{name}")
                        for name, kind in artifact.shown.items()
                    ],
                    save_type=ArtifactSaveType.PREEXISTING,
                    metadata={"bundle": manifest.digest, "source_version": manifest.version},
                    project=client.active_project.id,
                )
            )
        )
        client.zen_store.create_model_version_artifact_link(
            ModelVersionArtifactRequest(model_version=version.id, artifact_version=made.id)
        )
