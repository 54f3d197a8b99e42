"""Gate steps: they record their verdicts first and then stop the pipeline."""

from typing import Annotated

from zenml import get_step_context, log_metadata, step
from zenml.metadata.metadata_types import MetadataType

from zenml_airflow.contracts.model_records import GATES_METADATA
from zenml_mlops.audit import HEAD_METADATA, Outcome, airflow_actor, record
from zenml_mlops.gates.limits import (
    Examination,
    GateFailedError,
    GateLimits,
    GateReport,
    MetricReport,
    failure_message,
    judge,
)

_GATE = {"airflow": {"gate": True, "retries": 0, "timeout_seconds": 300}}


@step(enable_cache=False, extra=_GATE)
def data_gate(examination: Examination, gate: GateLimits) -> Annotated[GateReport, "data_gate_report"]:
    """Let data pass only within its limits.

    Raises:
        GateFailedError: If any limit is broken; the message lists all of them.
    """
    return _enforced(judge(None, gate, examination.measures), "data")


@step(enable_cache=False, extra=_GATE)
def quality_gate(
    metrics: MetricReport,
    gate: GateLimits,
    examination: Examination | None = None,
    data_report: GateReport | None = None,
) -> Annotated[GateReport, "gate_report"]:
    """Let a model pass only within its limits.

    The report goes to the metadata of the run and of the model version before anything is raised, so that a
    refused model is as visible as an accepted one. The step has no retries: the same numbers give the same
    answer.

    Args:
        data_report: The verdicts on its data; they stay part of the report, so that the model version carries
            all of them.

    Raises:
        GateFailedError: If any limit is broken; the message lists all of them.
    """
    report = judge(metrics, gate, () if examination is None else examination.measures)
    if data_report is not None:
        report = GateReport(verdicts=[*data_report.verdicts, *report.verdicts])
    return _enforced(report, "model")


def _enforced(report: GateReport, subject: str) -> GateReport:
    context = get_step_context()
    run, version = context.pipeline_run, context.model_version
    metadata: dict[str, MetadataType] = {GATES_METADATA: report.as_metadata()}
    head = record(
        "gate",
        f"{subject}:{context.pipeline.name}",
        Outcome.ALLOWED if report.passed else Outcome.REFUSED,
        actor=airflow_actor(run.run_metadata),
        verdicts=[verdict.model_dump(mode="json") for verdict in report.verdicts],
        links={"zenml_run": str(run.id), "model_version": str(version.id) if version else None},
    )
    if head is not None:
        metadata[HEAD_METADATA] = head.model_dump()
    log_metadata(metadata=metadata, run_id_name_or_prefix=run.id)
    if version is not None:
        log_metadata(metadata=metadata, model_version_id=version.id)
    if not report.passed:
        raise GateFailedError(failure_message(report, subject))
    return report
