"""The pipelines by name, without importing any of them.

Importing this module costs milliseconds: the command line lists pipelines without ZenML, pandas or
scikit-learn.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel
    from zenml.pipelines.pipeline_definition import Pipeline


class UnknownPipelineError(KeyError):
    """No pipeline has that name."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class PipelineSpec:
    """A pipeline and what configures it.

    Attributes:
        name: Name of the pipeline, the same in ZenML, in ``configs/`` and on the command line.
        pipeline: ``module:attribute`` of the pipeline function.
        config: ``module:attribute`` of the configuration class.
        builder: ``module:attribute`` of the function that builds the configuration from the settings.
    """

    name: str
    pipeline: str
    config: str
    builder: str

    def load(self) -> Pipeline:
        """Import the pipeline. It takes ``config`` and, optionally, ``provenance``."""
        return _imported(self.pipeline)  # type: ignore[no-any-return]

    @property
    def config_class(self) -> type[BaseModel]:
        """The class of the pipeline's ``config`` parameter."""
        return _imported(self.config)  # type: ignore[no-any-return]

    def build_config(self, settings: Mapping[str, Any]) -> BaseModel:
        """Build the configuration from an environment's settings.

        Args:
            settings: The settings as plain data, with the keys ``data``, ``storage`` and ``pipelines``.

        Raises:
            ConfigError: If the settings break the configuration's schema.
        """
        build: Callable[[Mapping[str, Any]], BaseModel] = _imported(self.builder)
        return build(settings)


def _imported(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


PIPELINES: dict[str, PipelineSpec] = {
    spec.name: spec
    for spec in (
        PipelineSpec(
            name="training",
            pipeline="zenml_pipelines.pipelines.training:training",
            config="zenml_pipelines.config:TrainingConfig",
            builder="zenml_pipelines.config:build_training_config",
        ),
        PipelineSpec(
            name="batch_inference",
            pipeline="zenml_pipelines.pipelines.batch_inference:batch_inference",
            config="zenml_pipelines.config:BatchInferenceConfig",
            builder="zenml_pipelines.config:build_batch_inference_config",
        ),
        PipelineSpec(
            name="champion_challenger",
            pipeline="zenml_pipelines.pipelines.champion_challenger:champion_challenger",
            config="zenml_pipelines.config:ChampionChallengerConfig",
            builder="zenml_pipelines.config:build_champion_challenger_config",
        ),
        PipelineSpec(
            name="monitoring",
            pipeline="zenml_pipelines.pipelines.monitoring:monitoring",
            config="zenml_pipelines.config:MonitoringConfig",
            builder="zenml_pipelines.config:build_monitoring_config",
        ),
    )
}


def get_pipeline(name: str) -> PipelineSpec:
    """Return a pipeline by name.

    Raises:
        UnknownPipelineError: If there is none; the message lists the known ones.
    """
    try:
        return PIPELINES[name]
    except KeyError:
        raise UnknownPipelineError(f"No pipeline {name!r}. Known: {sorted(PIPELINES)}.") from None
