"""The ``batch_inference`` pipeline: one day's partition scored with the production version."""

from zenml import pipeline

from governance.hooks.observers import observe_failure, observe_success
from zenml_airflow import Provenance
from zenml_mlops.enforcement.run_start import check_run_start
from zenml_mlops.inference.config import BatchInferenceConfig
from zenml_mlops.inference.shadow_steps import score_shadow
from zenml_mlops.inference.steps import (
    load_partition,
    publish_predictions,
    score_partition,
    summarize,
    validate_partition,
)
from zenml_pipelines.use_case.pipeline_metadata import pipeline_metadata


@pipeline(
    name="batch_inference",
    enable_cache=False,
    on_init=check_run_start,
    on_success=observe_success,
    on_failure=observe_failure,
    **pipeline_metadata("batch_inference", "batch-inference"),
)
def batch_inference(config: BatchInferenceConfig, provenance: Provenance | None = None) -> None:
    """Load, validate, score, publish, summarize the partition of the run's date.

    Nothing is cached: the same parameters mean other rows on another day, and another model after a
    promotion. Where the configuration asks for a shadow, a challenger scores the day too, once it is published.

    Args:
        config: The configuration; a run may override nothing.
        provenance: The code that the snapshot was made from.
    """
    partition, champion = load_partition(config=config)
    checked = validate_partition(partition, champion, config=config)
    scored = score_partition(partition, champion, checked, config=config)
    manifest = publish_predictions(
        partition, champion, checked, scored, config=config, provenance=provenance or Provenance()
    )
    summarize(partition, manifest, config=config)
    if config.shadow.enabled:
        score_shadow(partition, champion, checked, scored, manifest, config=config)
