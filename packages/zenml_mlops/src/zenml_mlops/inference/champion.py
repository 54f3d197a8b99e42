"""The model version that scores: looked up once per run, then referred to by id."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pandas as pd
from zenml.client import Client
from zenml.enums import ModelStages
from zenml.models import ModelVersionPipelineRunRequest, ModelVersionResponse

from zenml_airflow.contracts.frozen import Frozen
from zenml_mlops.data.contract import Contract

MODEL_ARTIFACT = "risk_model"
CONTRACT_ARTIFACT = "contract"
_NEWEST = 100


class NoChampionError(RuntimeError):
    """No model version is in the stage that scores."""


class EmptyStageError(NoChampionError):
    """The stage is empty, which is a state and not a fault where only a challenger is looked for."""


class ScoringVersion(Frozen):
    """The model version of a run. A promotion in the middle of the run does not change it.

    Attributes:
        model_artifact_id: Id of the artifact that holds the scikit-learn Pipeline.
        contract: The contract stored beside it.
        training_run_id: The run that trained it, if ZenML still knows.
    """

    model_name: str
    version: int
    version_id: UUID
    model_artifact_id: UUID
    contract: Contract
    training_run_id: UUID | None


def find_champion(model_name: str, stage: str) -> ScoringVersion:
    """Find the version in a stage.

    Raises:
        EmptyStageError: If there is none.
        NoChampionError: If it lacks the model or its contract.
    """
    try:
        version = Client().get_model_version(model_name, ModelStages(stage))
    except KeyError:
        raise EmptyStageError(
            f"No version of the model {model_name!r} is in stage {stage!r}, so there is nothing to score with. "
            "Run the training pipeline and promote a version that passed its gates (`mlops promote "
            f"{model_name}`)."
        ) from None
    return describe_version(version)


def find_challenger(model_name: str, number: int | None) -> ScoringVersion:
    """Find the version that wants to become the champion.

    Args:
        number: Its number; by default the newest version that is in no stage.

    Raises:
        NoChampionError: If there is none, or it lacks the model or its contract.
    """
    client = Client()
    try:
        if number is not None:
            return describe_version(client.get_model_version(model_name, number))
        newest = client.list_model_versions(model=model_name, sort_by="desc:number", size=_NEWEST).items
    except KeyError:
        raise NoChampionError(f"The model {model_name!r} has no version {number or ''}: train one.") from None
    free = [version for version in newest if version.stage in (None, ModelStages.NONE.value)]
    if not free:
        raise NoChampionError(
            f"Each of the newest versions of {model_name!r} is in a stage or archived: name the challenger with "
            "the parameter `version`."
        )
    return describe_version(client.get_model_version(model_name, free[0].id))


def describe_version(version: ModelVersionResponse) -> ScoringVersion:
    """What a run needs to know of a version.

    Raises:
        NoChampionError: If it lacks the model or its contract.
    """
    model_name = version.model.name
    model = version.get_artifact(MODEL_ARTIFACT)
    contract = version.get_artifact(CONTRACT_ARTIFACT)
    if model is None or contract is None:
        missing = MODEL_ARTIFACT if model is None else CONTRACT_ARTIFACT
        raise NoChampionError(
            f"Version {version.number} of {model_name!r} (stage {version.stage!r}) has no artifact {missing!r}: "
            "it was not made by the training pipeline, or its artifacts were deleted. Take another version."
        )
    return ScoringVersion(
        model_name=model_name,
        version=int(version.number),
        version_id=version.id,
        model_artifact_id=model.id,
        contract=contract.load(),
        training_run_id=model.producer_pipeline_run_id,
    )


def training_part(champion: ScoringVersion) -> pd.DataFrame | None:
    """The rows that a version was trained on; ``None`` if its run or their artifact is gone."""
    try:
        if champion.training_run_id is None:
            return None
        run = Client().get_pipeline_run(champion.training_run_id)
        train: pd.DataFrame = run.steps["split_data"].outputs["train"][0].load()
    except (KeyError, FileNotFoundError):
        return None
    return train


def load_model(champion: ScoringVersion) -> Any:
    """The scikit-learn Pipeline of a version."""
    return Client().get_artifact_version(champion.model_artifact_id).load()


def link_run(champion: ScoringVersion, run_id: UUID) -> None:
    """Record with ZenML that a run used a version. Linking twice is no error."""
    Client().zen_store.create_model_version_pipeline_run_link(
        ModelVersionPipelineRunRequest(model_version=champion.version_id, pipeline_run=run_id)
    )
