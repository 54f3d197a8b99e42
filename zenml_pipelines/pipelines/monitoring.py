"""The ``monitoring`` pipeline: what became of the days that were scored."""

from zenml import pipeline

from governance.hooks.observers import observe_failure, observe_success
from zenml_airflow import Provenance
from zenml_mlops.enforcement.run_start import check_run_start
from zenml_mlops.monitoring.config import MonitoringConfig
from zenml_mlops.monitoring.steps import publish_findings, watch_days
from zenml_pipelines.use_case.pipeline_metadata import pipeline_metadata


@pipeline(
    name="monitoring",
    enable_cache=False,
    on_init=check_run_start,
    on_success=observe_success,
    on_failure=observe_failure,
    **pipeline_metadata("monitoring", "monitoring"),
)
def monitoring(config: MonitoringConfig, provenance: Provenance | None = None) -> None:  # noqa: ARG001
    """Evaluate the scored days that the run is for, and publish what was found.

    Args:
        config: The configuration; a run may override nothing.
        provenance: The code that the snapshot was made from; ZenML records it with the run.
    """
    publish_findings(watch_days(config=config), config=config)
