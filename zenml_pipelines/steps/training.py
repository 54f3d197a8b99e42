"""The step of the ``training`` pipeline that fits a model; the platform loads, splits, evaluates and registers."""

from typing import Annotated

import pandas as pd
from sklearn.pipeline import Pipeline
from zenml import ArtifactConfig, step
from zenml.enums import ArtifactType

from zenml_mlops.data.contract import Contract
from zenml_mlops.inference.champion import CONTRACT_ARTIFACT, MODEL_ARTIFACT
from zenml_mlops.step_options import COMPUTE
from zenml_mlops.training.config import TrainingConfig
from zenml_mlops.training.fitting import fit_model
from zenml_mlops.training.tracking import start_autologging, tracked_run_id
from zenml_pipelines.model import RiskModelMaterializer, build_model
from zenml_pipelines.use_case.contract import CONTRACT


@step(enable_cache=False, output_materializers={MODEL_ARTIFACT: RiskModelMaterializer}, extra=COMPUTE)
def train_model(
    train: pd.DataFrame, run_config: TrainingConfig
) -> tuple[
    Annotated[Pipeline, ArtifactConfig(name=MODEL_ARTIFACT, artifact_type=ArtifactType.MODEL)],
    Annotated[Contract, CONTRACT_ARTIFACT],
    Annotated[str, "mlflow_run_id"],
]:
    """Fit one scikit-learn Pipeline, preprocessing included.

    Returns:
        The model, the contract that its input must keep, and the MLflow run id, empty without a tracker.
    """
    run_id = tracked_run_id()
    model = build_model(run_config)
    fit_model(
        model,
        train[CONTRACT.features],
        CONTRACT.events(train),
        before_estimator=None if run_id is None else start_autologging,
    )
    return model, CONTRACT, run_id or ""
