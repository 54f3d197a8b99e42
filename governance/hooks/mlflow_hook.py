"""For the data scientists: MLflow's runs say what became of the model."""

from __future__ import annotations

from zenml_mlops.hooks.events import StepEnd
from zenml_mlops.observers.tracking import tag_mlflow_run


def mlflow_hook(end: StepEnd) -> None:
    """Tag the MLflow run of a training with its gates, data, code, and where else the run is."""
    tag_mlflow_run(end)
