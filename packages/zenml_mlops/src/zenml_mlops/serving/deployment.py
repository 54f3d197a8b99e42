"""The deployment: the version in production behind an HTTP service.

It is no pipeline that runs. ZenML's own pipeline deployments make a pipeline run of each request, which records
the request's values; docs/serving.md says more.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from fastapi import FastAPI
from zenml.client import Client
from zenml.enums import ModelStages

from zenml_mlops.data.use_case import load_use_case
from zenml_mlops.inference.champion import EmptyStageError, find_champion, load_model
from zenml_mlops.serving.app import Service, create_app
from zenml_mlops.serving.config import ServingConfig
from zenml_mlops.serving.limits import ApiKeys
from zenml_mlops.serving.loaded_version import LoadedVersion
from zenml_mlops.serving.metrics import Metrics
from zenml_mlops.serving.records import EventLog
from zenml_mlops.serving.switch import ModelSwitch


@dataclass(frozen=True)
class StageSource:
    """The versions that the stage of a configuration has, in ZenML."""

    config: ServingConfig

    def champion_id(self) -> UUID:
        """Id of the version in the stage, without loading anything.

        Raises:
            EmptyStageError: If there is none.
        """
        name, stage = self.config.model_name, self.config.stage.value
        try:
            return Client().get_model_version(name, ModelStages(stage), hydrate=False).id
        except KeyError:
            raise EmptyStageError(f"No version of {name} is in {stage}: promote one.") from None

    def load(self) -> LoadedVersion:
        """Load the version in the stage, by the same functions as batch inference.

        Raises:
            NoChampionError: If there is none, or it lacks the model or its contract.
            MissingFeaturesError: If the two do not fit together.
        """
        champion = find_champion(self.config.model_name, self.config.stage.value)
        return LoadedVersion.of(
            champion,
            load_model(champion),
            load_use_case(self.config.use_case).load_grouping(),
            threshold=self.config.decision_threshold,
            most_rows=self.config.most_rows,
        )


def deployment(config: ServingConfig, keys: ApiKeys | None = None) -> tuple[FastAPI, LoadedVersion]:
    """Pick the version in production and hand it to the application.

    Args:
        keys: The keys that let clients in; without any, everybody who reaches the service is let in.

    Returns:
        The application, and the version that it begins with.

    Raises:
        NoChampionError: See :meth:`StageSource.load`.
        MissingFeaturesError: See :meth:`StageSource.load`.
    """
    metrics, log = Metrics(), EventLog()
    switch = ModelSwitch(StageSource(config), config.poll_seconds, metrics, log)
    champion = switch.load_first()
    service = Service(config, switch, metrics, log, keys or ApiKeys([]))
    return create_app(service), champion
