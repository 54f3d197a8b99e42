"""What ZenML knows of the versions of a model, and what the policies are told of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from zenml.client import Client
from zenml.enums import ArtifactType, ModelStages
from zenml.models import ArtifactVersionResponse, ModelVersionResponse, PipelineRunResponse
from zenml.utils.pagination_utils import depaginate_stream

from zenml_airflow.contracts.model_records import gate_results, latest_approval
from zenml_airflow.contracts.origins import SERVER_LINK, origin_of
from zenml_mlops.cards.card import CARD_ARTIFACT
from zenml_mlops.policy.facts import ModelVersionFacts
from zenml_mlops.promotion.errors import PromotionRefusedError

_BEGUN = "Bundle "
_PAGE = 50

TRAINING_METADATA = "training"
"""Key of the metadata of a version and its run that says what it is made of: ``data.sha256``, ``provenance``, …"""


def describe_version(
    version: ModelVersionResponse, run: PipelineRunResponse | None, target: str
) -> ModelVersionFacts:
    """Describe a version for the policies.

    The run of an imported version is on another server: what the bundle said of it counts.

    Args:
        run: The run that produced its model artifact, if ZenML knows it.
        target: Stage that it is to enter.
    """
    code, made = code_of(version), training_of(version)
    origin, approval = origin_of(version.run_metadata), latest_approval(version.run_metadata, target)
    status: str | None
    if origin is not None:
        status, gates, environment = origin.run.status, origin.run.gates, origin.run.environment
    else:
        status = run.status.value if run else None
        gates = recorded_gates(run.run_metadata) if run else {}
        environment = environment_of_run(run) if run else None
    return ModelVersionFacts(
        name=version.model.name,
        version=int(version.number),
        target=target,
        run_status=status,
        gates=gates,
        has_card=version.get_artifact(CARD_ARTIFACT) is not None,
        data_digest=made.get("data", {}).get("sha256"),
        commit=code.get("commit"),
        dirty=code.get("dirty"),
        environment=environment,
        approved_by=approval.by if approval is not None and approval.approved else None,
        created=version.created,
        imported_from=None if origin is None else str(origin.last.server),
        signed_by=None if origin is None else origin.signer,
        approval_imported=approval is not None and SERVER_LINK in approval.links,
        local_gates={} if origin is None else recorded_gates(version.run_metadata),
    )


def recorded_gates(metadata: Mapping[str, Any]) -> dict[str, bool]:
    """Result by gate, from the metadata of a run or of a version; empty if there is none."""
    found = gate_results(metadata)
    return found.by_gate if found else {}


def environment_of_run(run: PipelineRunResponse) -> str | None:
    """Environment that a run was for, as its context recorded it."""
    named = run.run_metadata.get("environment")
    return None if named is None else str(named)


def code_of(version: ModelVersionResponse) -> dict[str, Any]:
    """The code that a version was trained by: ``commit`` and ``dirty``, where they are recorded."""
    code: dict[str, Any] = training_of(version).get("provenance", {})
    return code


def training_of(version: ModelVersionResponse) -> dict[str, Any]:
    """What a version is made of, as its training recorded it; empty if it did not."""
    training: Any = version.run_metadata.get(TRAINING_METADATA)
    return training if isinstance(training, dict) else {}


def model_artifacts(version: ModelVersionResponse) -> list[ArtifactVersionResponse]:
    """The artifacts of a version that hold a model."""
    return list(Client().list_artifact_versions(model_version_id=version.id, type=ArtifactType.MODEL, size=_PAGE))


def producer(version: ModelVersionResponse) -> PipelineRunResponse | None:
    """The run that made the model artifact of a version."""
    found = (artifact.producer_pipeline_run_id for artifact in model_artifacts(version))
    producers = {run_id for run_id in found if run_id is not None}
    if len(producers) != 1:
        return None
    try:
        return Client().get_pipeline_run(producers.pop())
    except KeyError:
        return None


def find_version(model_name: str, number: int) -> ModelVersionResponse:
    """A version by its number.

    Raises:
        PromotionRefusedError: If there is none; the message lists the known ones.
    """
    try:
        return Client().get_model_version(model_name_or_id=model_name, model_version_name_or_number_or_id=number)
    except KeyError:
        known = [int(version.number) for version in versions(model_name)]
        raise PromotionRefusedError(
            f"The model {model_name!r} has no version {number}. Known versions, newest first: {known}."
        ) from None


def versions(model_name: str) -> Iterator[ModelVersionResponse]:
    """The versions of a model with their metadata, newest first; none if there is no such model."""
    wanted = {"model": model_name, "sort_by": "desc:number", "size": _PAGE, "hydrate": True}
    with suppress(KeyError):
        yield from depaginate_stream(Client().list_model_versions, **wanted)


def in_stage(model_name: str, stage: str) -> list[int]:
    """Numbers of the versions in a stage, ascending; more than one only if somebody went around ZenML's client."""
    found = Client().list_model_versions(model=model_name, stage=stage, size=_PAGE, sort_by="asc:number")
    return [int(version.number) for version in found.items]


def begun_with(digest: str) -> str:
    """Description of a version that an import creates before its evidence is there."""
    return f"{_BEGUN}{digest}"


def unfinished(version: ModelVersionResponse) -> bool:
    """Whether the import that created a version was interrupted."""
    return origin_of(version.run_metadata) is None and (version.description or "").startswith(_BEGUN)


def stage_of(version: ModelVersionResponse) -> str | None:
    """Stage of a version; ``None`` if it is in none."""
    return None if version.stage in (None, ModelStages.NONE.value) else str(version.stage)
