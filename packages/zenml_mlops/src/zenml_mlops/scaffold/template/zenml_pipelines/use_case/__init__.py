"""What the project declares of its use case; ``definition`` in ``configs/`` names it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from zenml_mlops.data.contract import Contract
from zenml_mlops.data.table_spec import TableSpec
from zenml_mlops.data.use_case import PipelineSpec, UseCase

_HERE = Path(__file__).parent

CONTRACT: Final = Contract.load(_HERE / "contract.yaml")
TABLE: Final = TableSpec.load(_HERE / "source.yaml")


def _pipeline(name: str, config: str) -> PipelineSpec:
    return PipelineSpec(name=name, pipeline=f"zenml_pipelines.pipelines:{name}", config=f"zenml_mlops.{config}")


USE_CASE: Final = UseCase(
    contract=CONTRACT,
    table=TABLE,
    pipelines=(
        _pipeline("training", "training.config:TrainingConfig"),
        _pipeline("batch_inference", "inference.config:BatchInferenceConfig"),
        _pipeline("champion_challenger", "training.config:ChampionChallengerConfig"),
        _pipeline("monitoring", "monitoring.config:MonitoringConfig"),
    ),
)
