"""The use case: the risk that a patient is readmitted within 30 days of discharge.

This module is what ``definition`` in ``configs/`` names. It imports neither pandas nor ZenML.
"""

from __future__ import annotations

from typing import Final

from zenml_mlops.data.table_spec import TableSpec
from zenml_mlops.data.use_case import PipelineSpec, UseCase
from zenml_pipelines.use_case.contract import CONTRACT
from zenml_pipelines.use_case.schema import CSV_NAME

READMISSION: Final = UseCase(
    contract=CONTRACT,
    table=TableSpec(file=CSV_NAME),
    source="zenml_pipelines.use_case.source:SOURCE",
    grouping="zenml_pipelines.use_case.features:GROUPING",
    pipelines=(
        PipelineSpec(
            name="training",
            pipeline="zenml_pipelines.pipelines.training:training",
            config="zenml_pipelines.config:TrainingConfig",
        ),
        PipelineSpec(
            name="batch_inference",
            pipeline="zenml_pipelines.pipelines.batch_inference:batch_inference",
            config="zenml_mlops.inference.config:BatchInferenceConfig",
        ),
        PipelineSpec(
            name="champion_challenger",
            pipeline="zenml_pipelines.pipelines.champion_challenger:champion_challenger",
            config="zenml_mlops.training.config:ChampionChallengerConfig",
        ),
        PipelineSpec(
            name="monitoring",
            pipeline="zenml_pipelines.pipelines.monitoring:monitoring",
            config="zenml_mlops.monitoring.config:MonitoringConfig",
        ),
    ),
)
