"""The steps of the ``champion_challenger`` pipeline."""

from typing import Annotated

import pandas as pd
from pydantic import BaseModel, ConfigDict
from zenml import get_step_context, log_metadata, step
from zenml.metadata.metadata_types import MetadataType
from zenml.types import HTMLString

from zenml_airflow import get_run_context
from zenml_mlops.materializers import ParquetMaterializer
from zenml_pipelines.champion import (
    Champion,
    NoChampionError,
    find_challenger,
    find_champion,
    link_run,
    load_model,
    training_part,
)
from zenml_pipelines.comparison import COMPARISON_METADATA, Comparison, Contest, Verdict, compare
from zenml_pipelines.comparison_report import render_comparison
from zenml_pipelines.config import ChampionChallengerConfig
from zenml_pipelines.contract import GROUP_ID, ROW_ID
from zenml_pipelines.data.source import read_source
from zenml_pipelines.scoring import score
from zenml_pipelines.splitting import labels, unseen_rows

_IO = {"airflow": {"retries": 2, "timeout_seconds": 900}}
_COMPUTE = {"airflow": {"retries": 1, "timeout_seconds": 1800}}


class Contestants(BaseModel):
    """The two versions of a run, settled once. A promotion in the middle of the run does not change them.

    Attributes:
        challenger: The version that wants to enter the stage.
        champion: The version in it; ``None`` without one.
        no_champion: Why there is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    challenger: Champion
    champion: Champion | None = None
    no_champion: str = ""


@step(enable_cache=False, extra=_IO)
def select_contestants(
    config: ChampionChallengerConfig,
) -> tuple[Annotated[Contestants, "contestants"], Annotated[ChampionChallengerConfig, "comparison_config"]]:
    """Settle which versions are compared, and link the run to both.

    Raises:
        ConfigError: If the run carries a parameter that would have no effect.
        NoChampionError: If there is no challenger, or it is the champion itself.
    """
    settled = config.with_params(get_run_context().params)
    run_id = get_step_context().pipeline_run.id
    challenger = find_challenger(settled.model_name, settled.version)
    link_run(challenger, run_id)
    try:
        champion = find_champion(settled.model_name, settled.stage.value)
    except NoChampionError as error:
        return Contestants(challenger=challenger, no_champion=str(error)), settled
    if champion.version_id == challenger.version_id:
        raise NoChampionError(
            f"Version {challenger.version} of {settled.model_name!r} is in {settled.stage.value} itself, and a "
            "version is not compared with itself: name another challenger with the parameter `version`."
        )
    link_run(champion, run_id)
    return Contestants(challenger=challenger, champion=champion), settled


@step(enable_cache=False, output_materializers={"labelled": ParquetMaterializer}, extra=_IO)
def gather_labelled(
    contestants: Contestants, comparison_config: ChampionChallengerConfig
) -> Annotated[pd.DataFrame, "labelled"]:
    """Read the labelled rows that neither version trained on, in time order; see `unseen_rows`.

    Returns:
        No row where nobody can tell which are new: without a champion, or if a training part is gone.

    Raises:
        DataError: If the source is missing or is not what it should be.
    """
    rows, _ = read_source(get_run_context().resolve(comparison_config.raw_data))
    versions = [v for v in (contestants.challenger, contestants.champion) if v is not None]
    trained = [part for part in map(training_part, versions) if part is not None]
    if len(trained) < len(versions):
        return rows.iloc[:0]
    return unseen_rows(rows, trained)


@step(enable_cache=False, extra=_COMPUTE)
def compare_models(
    contestants: Contestants, labelled: pd.DataFrame, comparison_config: ChampionChallengerConfig
) -> tuple[Annotated[Comparison, "comparison"], Annotated[HTMLString, "comparison_report"]]:
    """Score the same rows with both versions, compare, and record the verdict with run and challenger.

    Nothing is raised for a challenger that is worse: what follows is decided by whoever promotes.

    Returns:
        The comparison, and a page with its numbers and plots.
    """
    challenger, champion = contestants.challenger, contestants.champion
    if champion is None:
        found = Comparison(
            challenger=challenger.version, verdict=Verdict.NO_CHAMPION, reason=contestants.no_champion
        )
    elif labelled.empty:
        found = Comparison(
            challenger=challenger.version,
            champion=champion.version,
            verdict=Verdict.UNDECIDED,
            reason="The training rows of one of the versions are gone, or no later row is new to both.",
        )
    else:
        models = (load_model(challenger), load_model(champion))
        found = compare(
            Contest(challenger=challenger.version, champion=champion.version),
            labelled,
            labels(labelled).to_numpy(),
            (score(models[0], labelled), score(models[1], labelled)),
            order=ROW_ID,
            unit=GROUP_ID,
            bootstrap=comparison_config.bootstrap,
            subgroups=comparison_config.subgroups,
            rules=comparison_config.rules,
            seed=comparison_config.seed,
        )
    run = get_step_context().pipeline_run
    recorded: dict[str, MetadataType] = {
        COMPARISON_METADATA: {**found.model_dump(mode="json", exclude_none=True), "run": str(run.id)}
    }
    log_metadata(metadata=recorded, run_id_name_or_prefix=run.id)
    log_metadata(metadata=recorded, model_version_id=challenger.version_id)
    return found, HTMLString(render_comparison(found))
