"""The steps of the ``champion_challenger`` pipeline."""

from typing import Annotated

import pandas as pd
from zenml import get_step_context, log_metadata, step
from zenml.metadata.metadata_types import MetadataType
from zenml.types import HTMLString

from zenml_airflow import get_run_context
from zenml_airflow.contracts.frozen import Frozen
from zenml_airflow.contracts.model_records import COMPARISON_METADATA, Comparison, ComparisonVerdict
from zenml_mlops.data.source import read_source
from zenml_mlops.data.use_case import load_use_case
from zenml_mlops.inference.champion import (
    NoChampionError,
    ScoringVersion,
    find_challenger,
    find_champion,
    link_run,
    load_model,
    training_part,
)
from zenml_mlops.inference.scoring import score
from zenml_mlops.materializers import ParquetMaterializer
from zenml_mlops.step_options import COMPUTE, IO
from zenml_mlops.training.comparison import VersionPair, compare
from zenml_mlops.training.comparison_report import render_comparison
from zenml_mlops.training.config import ChampionChallengerConfig
from zenml_mlops.training.splitting import unseen_rows


class ComparedVersions(Frozen):
    """The two versions of a run, settled once. A promotion in the middle of the run does not change them.

    Attributes:
        no_champion: Why there is no champion.
    """

    challenger: ScoringVersion
    champion: ScoringVersion | None = None
    no_champion: str = ""


@step(enable_cache=False, extra=IO)
def select_versions(
    config: ChampionChallengerConfig,
) -> tuple[
    Annotated[ComparedVersions, "compared_versions"], Annotated[ChampionChallengerConfig, "comparison_config"]
]:
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
        return ComparedVersions(challenger=challenger, no_champion=str(error)), settled
    if champion.version_id == challenger.version_id:
        raise NoChampionError(
            f"Version {challenger.version} of {settled.model_name!r} is in {settled.stage.value} itself, and a "
            "version is not compared with itself: name another challenger with the parameter `version`."
        )
    link_run(champion, run_id)
    return ComparedVersions(challenger=challenger, champion=champion), settled


@step(enable_cache=False, output_materializers={"labelled": ParquetMaterializer}, extra=IO)
def gather_labelled(
    compared_versions: ComparedVersions, comparison_config: ChampionChallengerConfig
) -> Annotated[pd.DataFrame, "labelled"]:
    """Read the labelled rows that neither version trained on, in time order; see `unseen_rows`.

    Returns:
        No row where nobody can tell which are new: without a champion, or if a training part is gone.

    Raises:
        DataError: If the source is missing or is not what it should be.
    """
    use_case = load_use_case(comparison_config.use_case)
    rows, _ = read_source(use_case.load_source(), get_run_context().resolve(comparison_config.raw_data))
    versions = [v for v in (compared_versions.challenger, compared_versions.champion) if v is not None]
    trained = [part for part in map(training_part, versions) if part is not None]
    if len(trained) < len(versions):
        return rows.iloc[:0]
    return unseen_rows(rows, use_case.contract, trained)


@step(enable_cache=False, extra=COMPUTE)
def compare_models(
    compared_versions: ComparedVersions, labelled: pd.DataFrame, comparison_config: ChampionChallengerConfig
) -> tuple[Annotated[Comparison, "comparison"], Annotated[HTMLString, "comparison_report"]]:
    """Score the same rows with both versions, compare, and record the verdict with run and challenger.

    Nothing is raised for a challenger that is worse: what follows is decided by whoever promotes.
    """
    challenger, champion = compared_versions.challenger, compared_versions.champion
    if champion is None:
        found = Comparison(
            challenger=challenger.version,
            verdict=ComparisonVerdict.NO_CHAMPION,
            reason=compared_versions.no_champion,
        )
    elif labelled.empty:
        found = Comparison(
            challenger=challenger.version,
            champion=champion.version,
            verdict=ComparisonVerdict.UNDECIDED,
            reason="The training rows of one of the versions are gone, or no later row is new to both.",
        )
    else:
        contract = load_use_case(comparison_config.use_case).contract
        models = (load_model(challenger), load_model(champion))
        found = compare(
            VersionPair(challenger=challenger.version, champion=champion.version),
            labelled,
            contract.events(labelled).to_numpy(),
            (score(models[0], labelled), score(models[1], labelled)),
            contract=contract,
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
