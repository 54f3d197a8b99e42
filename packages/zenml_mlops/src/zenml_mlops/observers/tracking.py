"""Tell MLflow what its autologging cannot know: the gates, the data, the code, and where else the run is."""

from __future__ import annotations

from typing import Any, Final

from zenml_airflow.contracts.model_records import gate_results
from zenml_mlops.audit import airflow_actor
from zenml_mlops.hooks.events import StepEnd
from zenml_mlops.promotion import TRAINING_METADATA

MLFLOW_RUN: Final = "mlflow_run_id"
"""Key under which ZenML's MLflow tracker records the MLflow run in a step's metadata."""

_TAG_LENGTH: Final = 4000


def tag_mlflow_run(end: StepEnd) -> None:
    """Set the tags of the MLflow run of a training, once its version is registered or a step has failed.

    Tags: ``gates`` (``passed`` or ``failed``), ``gate.NAME`` for each gate, ``data_sha256``, ``git_commit``,
    ``model_version``, ``zenml_run``, ``airflow_run``. Setting them again changes nothing.

    Raises:
        Exception: Whatever MLflow raises; the caller makes it visible.
    """
    from zenml.client import Client

    if end.version is None:
        return
    # What this step and earlier ones recorded: the step's own view of the run is as old as the step.
    run = Client().get_pipeline_run(end.run.id)
    if end.error is None and TRAINING_METADATA not in run.run_metadata:
        return
    mlflow_runs = {
        str(step.run_metadata[MLFLOW_RUN]) for step in run.steps.values() if MLFLOW_RUN in step.run_metadata
    }
    tracker = Client().active_stack.experiment_tracker
    if not mlflow_runs or tracker is None:
        return
    # Importing MLflow takes seconds: only where there is something to tell it.
    from mlflow.tracking import MlflowClient
    from zenml.integrations.mlflow.experiment_trackers import MLFlowExperimentTracker

    if not isinstance(tracker, MLFlowExperimentTracker):
        return
    tracker.configure_mlflow()
    client = MlflowClient()
    for mlflow_run in sorted(mlflow_runs):
        for key, value in _tags(run.run_metadata, end).items():
            client.set_tag(mlflow_run, key, value[:_TAG_LENGTH])


def _tags(recorded: dict[str, Any], end: StepEnd) -> dict[str, str]:
    gates = gate_results(recorded)
    training = recorded.get(TRAINING_METADATA) or {}
    tags: dict[str, Any] = {
        "zenml_run": end.run.id,
        "airflow_run": airflow_actor(recorded),
        "model_version": None if end.version is None else f"{end.version.model.name}/{end.version.number}",
        "data_sha256": training.get("data", {}).get("sha256"),
        "git_commit": training.get("provenance", {}).get("commit"),
        "failed_step": end.step if end.error is not None else None,
    }
    if gates:
        said = {"gates": gates.passed, **{f"gate.{name}": passed for name, passed in gates.by_gate.items()}}
        tags |= {name: "passed" if passed else "failed" for name, passed in said.items()}
    return {key: str(value) for key, value in tags.items() if value is not None}
