"""The step of ``batch_inference`` in which a challenger scores the day too."""

import logging
from datetime import UTC, datetime
from typing import Annotated

from zenml import add_tags, get_step_context, log_metadata, step
from zenml.artifacts.utils import load_artifact
from zenml.types import HTMLString

from zenml_airflow import get_run_context
from zenml_mlops.data.landing import PartitionRef
from zenml_mlops.data.partitions import PartitionStore
from zenml_mlops.inference.batch import CheckedPartition, ScoredPartition
from zenml_mlops.inference.champion import ScoringVersion, link_run
from zenml_mlops.inference.config import BatchInferenceConfig
from zenml_mlops.inference.shadow import (
    SHADOW_METADATA,
    ShadowManifest,
    ShadowRecord,
    ShadowStatus,
    find_shadow,
    measure_agreement,
)
from zenml_mlops.inference.shadow_report import render_shadow
from zenml_mlops.inference.shards import DayScoring

_OBSERVER = {"airflow": {"retries": 2, "timeout_seconds": 3600, "observer": True}}
_LONGEST = 500

_log = logging.getLogger(__name__)


@step(enable_cache=False, extra=_OBSERVER)
def score_shadow(
    partition: PartitionRef,
    champion: ScoringVersion,
    checked_partition: CheckedPartition,
    scored_partition: ScoredPartition,
    manifest: str,
    config: BatchInferenceConfig,
) -> tuple[Annotated[ShadowRecord, "shadow"], Annotated[HTMLString, "shadow_report"]]:
    """Score the day with the challenger too, into a partition of its own, and measure how far the two agree.

    The day is published when this begins. Whatever goes wrong with the challenger is recorded as its failure, with
    the run's metadata ``shadow`` and the tag ``shadow:failed``, and fails nothing.
    """
    _log.info("%s is published; now the shadow of version %d", manifest, champion.version)
    challenger: ScoringVersion | None = None
    try:
        challenger, reason = find_shadow(config, champion)
        if challenger is None:
            record = ShadowRecord(status=ShadowStatus.NONE, reason=reason, champion=champion.version)
        else:
            record = _scored(partition, champion, challenger, checked_partition, scored_partition, config)
    except Exception as error:  # noqa: BLE001 - any failure of the challenger is a result to record
        _log.exception("The shadow of %s failed; the day's predictions are published.", partition.day)
        record = ShadowRecord(
            status=ShadowStatus.FAILED,
            reason=f"{type(error).__name__}: {error}"[:_LONGEST],
            champion=champion.version,
            challenger=challenger.version if challenger else config.shadow.version,
        )
    run_id = get_step_context().pipeline_run.id
    log_metadata(metadata={SHADOW_METADATA: record.metadata()}, run_id_name_or_prefix=run_id)
    add_tags(tags=[f"shadow:{record.status.value}"], run=run_id)
    return record, HTMLString(render_shadow(record, partition.day.isoformat()))


def _scored(
    partition: PartitionRef,
    champion: ScoringVersion,
    challenger: ScoringVersion,
    checked: CheckedPartition,
    scored: ScoredPartition,
    config: BatchInferenceConfig,
) -> ShadowRecord:
    context = get_run_context()
    run = get_step_context().pipeline_run.id
    run_id = str(run)
    link_run(challenger, run)
    store = PartitionStore(context.resolve(config.shadow_scores))
    store.remove_leftovers(partition.day, keep_run=run_id)
    # load_artifact records the challenger as an input of this step.
    model = load_artifact(challenger.model_artifact_id)
    made = DayScoring(
        model=lambda: model,
        partition=partition,
        champion=challenger,
        checked=checked,
        landing=context.resolve(config.landing),
        quarantine=PartitionStore(context.resolve(config.quarantine)),
        store=store,
        batch_rows=config.batch_rows,
        threshold=config.decision_threshold,
        run_id=run_id,
        spans=[(0, partition.rows)],
    ).gather()
    predictions = PartitionStore(context.resolve(config.predictions))
    agreement = measure_agreement(
        (predictions, scored.files),
        (store, made.files),
        row_id=champion.contract.row_id,
        batch_rows=config.batch_rows,
    )
    manifest = ShadowManifest(
        partition_date=partition.day,
        zenml_run_id=run_id,
        rows=made.rows,
        files=made.files,
        model_name=challenger.model_name,
        model_version=challenger.version,
        model_version_id=challenger.version_id,
        champion_version=champion.version,
        champion_files=scored.files,
        decision_threshold=config.decision_threshold,
        high_risk=made.high_risk,
        agreement=agreement,
        published_at=datetime.now(UTC),
    )
    path = store.publish(partition.day, made.run_path, manifest)
    return ShadowRecord(
        status=ShadowStatus.SCORED,
        champion=champion.version,
        challenger=challenger.version,
        agreement=agreement,
        manifest=f"{config.shadow_scores.rstrip('/')}/{path}",
    )
