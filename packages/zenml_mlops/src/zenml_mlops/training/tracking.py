"""The stack's experiment tracker, where there is one."""

from __future__ import annotations

from zenml.client import Client
from zenml.enums import StackComponentType


def stack_has_tracker() -> bool:
    """Whether the active stack has an experiment tracker; a step may not ask for a missing one."""
    return bool(Client().active_stack_model.components.get(StackComponentType.EXPERIMENT_TRACKER))


def tracked_run_id() -> str | None:
    """The id of the MLflow run that the tracker opened for this step, if it did.

    Looks at modules already imported: a step without a tracker must not pay seconds for importing MLflow.
    """
    import sys

    if "mlflow" not in sys.modules:
        return None
    import mlflow

    run = mlflow.active_run()
    return None if run is None else str(run.info.run_id)


def start_autologging() -> None:
    """Let MLflow record parameters, training scores and plots of the estimator that is fitted next.

    The model itself stays with ZenML: logging it to MLflow as well would make a second, pickled copy, and
    resolving its requirements takes longer than fitting it.
    """
    import mlflow.sklearn

    mlflow.sklearn.autolog(
        log_models=False,
        log_datasets=False,
        log_input_examples=False,
        log_model_signatures=False,
        log_post_training_metrics=False,
        silent=True,
    )
