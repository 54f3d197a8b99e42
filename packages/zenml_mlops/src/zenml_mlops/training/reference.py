"""What a new version is compared with: the data and the model of the version in production."""

from __future__ import annotations

from zenml.client import Client

from zenml_mlops.gates.data_checks import PROFILE_METADATA, DataProfile
from zenml_mlops.inference.champion import NoChampionError, find_champion, load_model, training_part
from zenml_mlops.training.examination import ChampionModel


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
        return None, f"{name} has no recorded data profile: it was trained before profiles were recorded"
    return DataProfile.model_validate(recorded), name


def find_champion_model(model_name: str, stage: str) -> tuple[ChampionModel | None, str]:
    """The version in a stage with the groups it was trained on, read from its run.

    Returns:
        The champion and its name, or ``None`` and the reason why there is none to compare with: no version in the
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
    groups = train[champion.contract.group_id].unique()
    return ChampionModel(name=name, model=load_model(champion), groups=groups), name
