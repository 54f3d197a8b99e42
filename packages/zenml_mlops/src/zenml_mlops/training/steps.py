"""The steps of the ``training`` pipeline."""

from datetime import UTC, datetime
from typing import Annotated

import fsspec
import pandas as pd
from pydantic import AwareDatetime
from sklearn.pipeline import Pipeline
from zenml import get_step_context, log_metadata, step
from zenml.types import HTMLString, MarkdownString

from zenml_airflow import Provenance, get_run_context
from zenml_airflow.contracts.frozen import Frozen
from zenml_mlops.cards import render_html, render_markdown
from zenml_mlops.cards.card import CARD_ARTIFACT, CARD_CONTENT_ARTIFACT, CARD_TEXT_ARTIFACT, CardContent
from zenml_mlops.data.holdout import training_rows
from zenml_mlops.data.profile import PROFILE_ARTIFACT, Profile, profile_rows
from zenml_mlops.data.source import read_source
from zenml_mlops.data.use_case import load_use_case
from zenml_mlops.gates.curves import Curves, risk_curves
from zenml_mlops.gates.data_checks import PROFILE_METADATA, DataProfile
from zenml_mlops.gates.limits import Examination, GateReport, MetricReport
from zenml_mlops.gates.statistics import evaluate
from zenml_mlops.inference.scoring import score
from zenml_mlops.materializers import ParquetMaterializer
from zenml_mlops.step_options import COMPUTE, DETERMINISTIC, IO
from zenml_mlops.training.config import TrainingConfig
from zenml_mlops.training.examination import examine_risk_model, examine_rows
from zenml_mlops.training.reference import champion_profile, find_champion_model
from zenml_mlops.training.splitting import split_in_time
from zenml_mlops.training.tracking import tracked_run_id


class DataReference(Frozen):
    """Which data a model was trained on.

    Attributes:
        location: Location of the source, as configured.
        rows: Rows that training may see, test part included.
        last_row_id: Highest row id among them; everything later is held out.
        modified_at: When the source file was written; ``None`` if its storage does not tell.
    """

    location: str
    sha256: str
    rows: int
    last_row_id: int
    modified_at: AwareDatetime | None = None


class TrainingSummary(Frozen):
    """What a training run registered: recorded with the model version."""

    model_name: str
    model_version: int
    estimator: str
    data: DataReference
    provenance: Provenance
    metrics: MetricReport
    zenml_run_id: str
    mlflow_run_id: str | None


@step(enable_cache=False, output_materializers={"rows": ParquetMaterializer}, extra=IO)
def load_data(
    config: TrainingConfig,
) -> tuple[
    Annotated[pd.DataFrame, "rows"],
    Annotated[DataReference, "data_reference"],
    Annotated[TrainingConfig, "run_config"],
]:
    """Read the rows that training may see, and settle the configuration of this run.

    The overrides of the run are applied here once and handed on as an artifact, so that no later step can
    disagree about them. Rows reserved for the daily feed are cut off before anything is stored.

    Raises:
        ConfigError: If the run carries a parameter that training does not know.
        DataError: If the source is missing or is not what it should be.
    """
    context = get_run_context()
    settled = config.with_params(context.params)
    location = context.resolve(config.raw_data)
    use_case = load_use_case(settled.use_case)
    source, digest = read_source(use_case.load_source(), location)
    rows = training_rows(source, use_case.contract.row_id, settled.holdout_fraction)
    reference = DataReference(
        location=config.raw_data,
        sha256=digest,
        rows=len(rows),
        last_row_id=int(rows[use_case.contract.row_id].max()),
        modified_at=_modified_at(location),
    )
    return rows, reference, settled


@step(enable_cache=False, extra=DETERMINISTIC)
def examine_data(
    rows: pd.DataFrame, data_reference: DataReference, run_config: TrainingConfig
) -> tuple[Annotated[Examination, "data_examination"], Annotated[DataProfile, "data_profile"]]:
    """Check the rows against the contract and against the data of the version in production.

    Returns:
        What was found, for ``data_gate`` to judge, and the profile that the next training compares with.
    """
    reference, source = champion_profile(run_config.model_name, run_config.champion_stage.value)
    examination, found = examine_rows(
        rows,
        load_use_case(run_config.use_case).contract,
        reference,
        source,
        modified_at=data_reference.modified_at,
        now=get_run_context().attempt_started_at,
    )
    return examination, found


@step(
    enable_cache=False,
    output_materializers={"train": ParquetMaterializer, "test": ParquetMaterializer},
    extra=DETERMINISTIC,
)
def split_data(
    rows: pd.DataFrame, data_report: GateReport, run_config: TrainingConfig
) -> tuple[Annotated[pd.DataFrame, "train"], Annotated[pd.DataFrame, "test"]]:
    """Split in time and by group; see :func:`zenml_mlops.training.splitting.split_in_time` for the rule.

    Raises:
        SplitError: If a part is empty.
        RuntimeError: If the data did not pass its gate.
    """
    if not data_report.passed:
        raise RuntimeError("split_data got a data report with failures: place it after data_gate.")
    train, test = split_in_time(rows, load_use_case(run_config.use_case).contract, run_config.test_fraction)
    # ZenML takes a step for one with several outputs only if it returns a tuple literal.
    return train, test


@step(enable_cache=False, extra=COMPUTE)
def evaluate_model(
    risk_model: Pipeline, test: pd.DataFrame, run_config: TrainingConfig
) -> tuple[Annotated[MetricReport, "metrics"], Annotated[Curves, "curves"], Annotated[Profile, PROFILE_ARTIFACT]]:
    """Measure the model on the later, unseen groups; intervals by resampling groups.

    Returns:
        The metrics, the curves that its card shows, and the profile that monitoring compares later days with.

    Raises:
        ValueError: If the test part holds one class only.
    """
    use_case = load_use_case(run_config.use_case)
    contract = use_case.contract
    truth, risks = contract.events(test).to_numpy(), score(risk_model, test)
    report = evaluate(
        truth,
        risks,
        test[contract.group_id].to_numpy(),
        unit=contract.group,
        resamples=run_config.bootstrap.resamples,
        confidence=run_config.bootstrap.confidence,
        seed=run_config.seed,
    )
    if tracked_run_id() is not None:
        import mlflow

        mlflow.log_metrics({**report.flat(), "test_rows": report.rows})
    curves = risk_curves(truth, risks)
    profile = profile_rows([test], contract, use_case.load_grouping(), [risks])
    return report, curves, profile


@step(enable_cache=False, extra=COMPUTE)
def examine_model(
    risk_model: Pipeline, train: pd.DataFrame, test: pd.DataFrame, run_config: TrainingConfig
) -> Annotated[Examination, "model_examination"]:
    """Look for leaks, subgroup gaps, instability and slowness, and compare with the version in production."""
    champion, no_champion_reason = find_champion_model(run_config.model_name, run_config.champion_stage.value)
    contract = load_use_case(run_config.use_case).contract
    return examine_risk_model(
        risk_model, train, test, contract, run_config, champion=champion, no_champion_reason=no_champion_reason
    )


@step(enable_cache=False, extra=IO)
def register_model(
    metrics: MetricReport,
    gate_report: GateReport,
    data_profile: DataProfile,
    data_reference: DataReference,
    run_config: TrainingConfig,
    mlflow_run_id: str,
    provenance: Provenance,
) -> Annotated[TrainingSummary, "training_summary"]:
    """Record with the model version what it is made of. The stage is left alone: promotion sets it.

    Raises:
        RuntimeError: If the step does not belong to a model version, or the gate did not pass.
    """
    context = get_step_context()
    version = context.model_version
    if version is None:
        raise RuntimeError(
            "register_model runs without a model version: place it with `model=Model(...)`, as training does."
        )
    if not gate_report.passed:
        raise RuntimeError("register_model got a gate report with failures: place it after quality_gate.")
    summary = TrainingSummary(
        model_name=run_config.model_name,
        model_version=version.number,
        estimator=run_config.estimator,
        data=data_reference,
        provenance=provenance,
        metrics=metrics,
        zenml_run_id=str(context.pipeline_run.id),
        mlflow_run_id=mlflow_run_id or None,
    )
    recorded = summary.model_dump(mode="json", exclude_none=True)
    values = {name: estimate.value for name, estimate in metrics.metrics.items()}
    log_metadata(
        metadata={"training": recorded, PROFILE_METADATA: data_profile.model_dump(mode="json"), **values},
        model_version_id=version.id,
    )
    log_metadata(metadata={"training": recorded}, run_id_name_or_prefix=context.pipeline_run.id)
    return summary


@step(enable_cache=False, extra=IO)
def write_card(
    summary: TrainingSummary,
    curves: Curves,
    examination: Examination,
    gate_report: GateReport,
    run_config: TrainingConfig,
) -> tuple[
    Annotated[HTMLString, CARD_ARTIFACT],
    Annotated[MarkdownString, CARD_TEXT_ARTIFACT],
    Annotated[CardContent, CARD_CONTENT_ARTIFACT],
]:
    """Write the version's model card; ZenML shows it. Promotion demands that there is one.

    Returns:
        The card as HTML, as Markdown, and what both are made of: `mlops card` renders it again, with the
        decisions that came later.
    """
    context = get_run_context()
    airflow = None if context.dag_id == "cli" else f"{context.dag_id}/{context.dag_run_id}"
    facts = {
        "data": summary.data.location,
        "data sha256": summary.data.sha256,
        "rows that training may see": summary.data.rows,
        f"last {load_use_case(run_config.use_case).contract.case}": summary.data.last_row_id,
        "estimator": summary.estimator,
        "commit": summary.provenance.commit,
        "uncommitted changes": summary.provenance.dirty,
        "ZenML run": summary.zenml_run_id,
        "MLflow run": summary.mlflow_run_id,
        "Airflow run": airflow,
    }
    content = CardContent(
        model=summary.model_name,
        version=summary.model_version,
        made_at=context.attempt_started_at,
        texts=run_config.card,
        facts={name: str(value) for name, value in facts.items() if value is not None},
        threshold=run_config.decision_threshold,
        metrics=summary.metrics,
        curves=curves,
        gates=gate_report,
        groups=tuple(measure for measure in examination.measures if measure.metric.startswith("subgroup_")),
    )
    return HTMLString(render_html(content)), MarkdownString(render_markdown(content)), content


def _modified_at(location: str) -> datetime | None:
    """When the source was written. Not every storage keeps that, so there may be no answer."""
    system, path = fsspec.url_to_fs(location)
    try:
        moment: datetime = system.modified(path)
    except NotImplementedError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
