"""The model version that scores: looked up once per run, then referred to by id."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pandas as pd
from pydantic import BaseModel, ConfigDict
from zenml.client import Client
from zenml.enums import ModelStages
from zenml.models import ModelVersionPipelineRunRequest, ModelVersionResponse

from zenml_mlops.gates.data_checks import PROFILE_METADATA, DataProfile
from zenml_pipelines.columns import FeatureSchema
from zenml_pipelines.contract import GROUP_ID
from zenml_pipelines.examination import Rival

MODEL_ARTIFACT = "risk_model"
SCHEMA_ARTIFACT = "feature_schema"
_NEWEST = 100


class NoChampionError(RuntimeError):
    """No model version is in the stage that scores."""


class EmptyStageError(NoChampionError):
    """The stage is empty, which is a state and not a fault where only a challenger is looked for."""


class Champion(BaseModel):
    """The model version of a run. A promotion in the middle of the run does not change it.

    Attributes:
        model_name: Name of the model.
        version: Number of the version.
        version_id: Its id in ZenML.
        model_artifact_id: Id of the artifact that holds the scikit-learn Pipeline.
        feature_schema: The contract stored beside it.
        training_run_id: The run that trained it, if ZenML still knows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model_name: str
    version: int
    version_id: UUID
    model_artifact_id: UUID
    feature_schema: FeatureSchema
    training_run_id: UUID | None


def find_champion(model_name: str, stage: str) -> Champion:
    """Find the version in a stage.

    Raises:
        EmptyStageError: If there is none.
        NoChampionError: If it lacks the model or its feature schema.
    """
    client = Client()
    try:
        version = client.get_model_version(
            model_name_or_id=model_name, model_version_name_or_number_or_id=ModelStages(stage)
        )
    except KeyError:
        raise EmptyStageError(
            f"No version of the model {model_name!r} is in stage {stage!r}, so there is nothing to score "
            "with. Run "
            "the training pipeline and promote a version that passed its gates (`mlops promote "
            f"{model_name}`)."
        ) from None
    return describe_version(version)


def find_challenger(model_name: str, number: int | None) -> Champion:
    """Find the version that wants to become the champion.

    Args:
        model_name: Name of the model.
        number: Its number; by default the newest version that is in no stage.

    Raises:
        NoChampionError: If there is none, or it lacks the model or its feature schema.
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


def describe_version(version: ModelVersionResponse) -> Champion:
    """What a run needs to know of a version.

    Raises:
        NoChampionError: If it lacks the model or its feature schema.
    """
    model_name = version.model.name
    model = version.get_artifact(MODEL_ARTIFACT)
    schema = version.get_artifact(SCHEMA_ARTIFACT)
    if model is None or schema is None:
        missing = MODEL_ARTIFACT if model is None else SCHEMA_ARTIFACT
        raise NoChampionError(
            f"Version {version.number} of {model_name!r} (stage {version.stage!r}) has no artifact {missing!r}: "
            "it was not made by the training pipeline, or its artifacts were deleted. Take another version."
        )
    return Champion(
        model_name=model_name,
        version=int(version.number),
        version_id=version.id,
        model_artifact_id=model.id,
        feature_schema=schema.load(),
        training_run_id=model.producer_pipeline_run_id,
    )


def champion_profile(model_name: str, stage: str) -> tuple[DataProfile | None, str]:
    """The profile of the data that the version in a stage was trained on.

    Returns:
        The profile and its name, or ``None`` and the reason why there is none.
    """
    try:
        champion = find_champion(model_name, stage)
    except NoChampionError as error:
        return None, str(error)
    recorded = Client().get_model_version(model_name, champion.version).run_metadata.get(PROFILE_METADATA)
    name = f"version {champion.version} in {stage}"
    if recorded is None:
        return None, f"{name} has no recorded data profile: it was trained before profiles were"
    return DataProfile.model_validate(recorded), name


def find_rival(model_name: str, stage: str) -> tuple[Rival | None, str]:
    """The version in a stage with the groups it was trained on, read from its run.

    Returns:
        The rival and its name, or ``None`` and the reason why there is none to compare with: no version in the
        stage, or one of which nobody can tell which rows it knows.
    """
    try:
        champion = find_champion(model_name, stage)
    except NoChampionError as error:
        return None, str(error)
    name = f"version {champion.version} in {stage}"
    train = training_part(champion)
    if train is None:
        return None, f"the training rows of {name} are gone, so no row is known to be new to it: undecided"
    return Rival(name=name, model=load_model(champion), groups=train[GROUP_ID].unique()), name


def training_part(champion: Champion) -> pd.DataFrame | None:
    """The rows that a version was trained on; ``None`` if its run or their artifact is gone."""
    try:
        if champion.training_run_id is None:
            return None
        run = Client().get_pipeline_run(champion.training_run_id)
        train: pd.DataFrame = run.steps["split_data"].outputs["train"][0].load()
    except (KeyError, FileNotFoundError):
        return None
    return train


def load_model(champion: Champion) -> Any:
    """The scikit-learn Pipeline of a version."""
    return Client().get_artifact_version(champion.model_artifact_id).load()


def link_run(champion: Champion, run_id: UUID) -> None:
    """Record with ZenML that a run used a version. Linking twice is no error."""
    Client().zen_store.create_model_version_pipeline_run_link(
        ModelVersionPipelineRunRequest(model_version=champion.version_id, pipeline_run=run_id)
    )
