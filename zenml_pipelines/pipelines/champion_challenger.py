"""The ``champion_challenger`` pipeline: a new version against the one in the stage, on rows that neither knows."""

from zenml import pipeline

from governance.hooks.observers import observe_failure, observe_success
from zenml_airflow import Provenance
from zenml_mlops.enforcement.run_start import check_run_start
from zenml_mlops.training.comparison_steps import compare_models, gather_labelled, select_versions
from zenml_mlops.training.config import ChampionChallengerConfig
from zenml_pipelines.use_case.pipeline_metadata import pipeline_metadata


@pipeline(
    name="champion_challenger",
    enable_cache=False,
    on_init=check_run_start,
    on_success=observe_success,
    on_failure=observe_failure,
    **pipeline_metadata("champion_challenger", "evaluation"),
)
def champion_challenger(config: ChampionChallengerConfig, provenance: Provenance | None = None) -> None:  # noqa: ARG001
    """Settle the two versions, gather the labelled rows that neither trained on, compare.

    Args:
        config: The configuration; a run may name the challenger's ``version``.
        provenance: The code that the snapshot was made from; recorded with the run's parameters.
    """
    compared_versions, settled = select_versions(config=config)
    labelled = gather_labelled(compared_versions, settled)
    compare_models(compared_versions, labelled, settled)
