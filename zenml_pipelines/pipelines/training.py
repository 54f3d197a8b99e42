"""The ``training`` pipeline: from the source data to a registered, gated model version."""

from zenml import Model, pipeline

from governance.hooks.observers import observe_failure, observe_success
from governance.steps.data_validation import data_validation
from governance.steps.model_validation import model_validation
from zenml_airflow import Provenance
from zenml_mlops.enforcement.run_start import check_run_start
from zenml_mlops.training.steps import (
    evaluate_model,
    examine_data,
    examine_model,
    load_data,
    register_model,
    split_data,
    write_card,
)
from zenml_mlops.training.tracking import stack_has_tracker
from zenml_pipelines.config import TrainingConfig
from zenml_pipelines.steps.training import train_model
from zenml_pipelines.use_case.pipeline_metadata import DATA_TAG, pipeline_metadata


@pipeline(
    name="training",
    enable_cache=False,
    on_init=check_run_start,
    on_success=observe_success,
    on_failure=observe_failure,
    **pipeline_metadata("training", "training"),
)
def training(config: TrainingConfig, provenance: Provenance | None = None) -> None:
    """Load, examine and gate the data; split, train, evaluate, examine, gate, register; write the card.

    The model version belongs to the steps from ``train_model`` on, so that a run which fails before it trains
    leaves no empty version behind. Nothing is cached: a training run is asked for because something changed,
    and a gate must judge the model that this very run made.

    Args:
        config: The configuration; a run may override its ``estimator``.
        provenance: The code that the snapshot was made from.
    """
    model = Model(
        name=config.model_name,
        description=config.card.title,
        use_cases=config.card.intended_use,
        limitations=" ".join(config.card.limits),
        tags=[DATA_TAG],
        save_models_to_registry=False,
    )
    tracker = True if stack_has_tracker() else None
    rows, data_reference, run_config = load_data(config=config)
    found, data_profile = examine_data(rows, data_reference, run_config)
    data_report = data_validation(found, config)
    train, test = split_data(rows, data_report, run_config)
    risk_model, _, mlflow_run_id = train_model.with_options(model=model, experiment_tracker=tracker)(
        train, run_config
    )
    metrics, curves, _ = evaluate_model.with_options(model=model, experiment_tracker=tracker)(
        risk_model, test, run_config
    )
    examination = examine_model.with_options(model=model)(risk_model, train, test, run_config)
    report = model_validation(metrics, examination, data_report, model=model, config=config)
    summary = register_model.with_options(model=model)(
        metrics,
        report,
        data_profile,
        data_reference,
        run_config,
        mlflow_run_id,
        provenance=provenance or Provenance(),
    )
    write_card.with_options(model=model)(summary, curves, examination, report, run_config)
