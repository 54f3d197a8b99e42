"""The steps of the ``batch_inference`` pipeline.

Rows never travel as ZenML artifacts: steps hand over references, counts and digests, and stream the files.
What a step writes lies in a folder private to the run until ``publish_predictions`` makes it the day's
partition.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

from zenml import get_step_context, log_metadata, step
from zenml.artifacts.utils import load_artifact

from zenml_airflow import Provenance
from zenml_airflow.context import SHARD_COUNTS, RunContext, get_run_context
from zenml_mlops.data.landing import PartitionRef, find_partition
from zenml_mlops.data.partitions import PartitionStore, digest_of_files
from zenml_mlops.inference.batch import (
    BatchSummary,
    CheckedPartition,
    PredictionManifest,
    QuarantineManifest,
    ScoredPartition,
    check_counts,
    quarantine_bad_rows,
)
from zenml_mlops.inference.champion import ScoringVersion, find_champion, link_run
from zenml_mlops.inference.config import BatchInferenceConfig
from zenml_mlops.inference.shards import DayScoring
from zenml_mlops.step_options import IO, STREAM

_SHARDED = {"airflow": {**STREAM["airflow"], "shards": "zenml_mlops.inference.steps:score_shard"}}


@step(enable_cache=False, extra=IO)
def load_partition(
    config: BatchInferenceConfig,
) -> tuple[Annotated[PartitionRef, "partition"], Annotated[ScoringVersion, "champion"]]:
    """Settle what this run works on: the day's complete partition and the version that scores it.

    Both are looked up here once. The run is linked to the model version, and leftovers of attempts that never
    published are removed.

    Raises:
        ConfigError: If the run carries a parameter that would have no effect.
        NoChampionError: If no version is in the stage.
        IncompletePartitionError: If the marker is missing or does not match the files.
        SchemaBrokenError: If a file is unreadable or breaks the contract.
    """
    context = get_run_context()
    settled = config.with_params(context.params)
    champion = find_champion(settled.model_name, settled.stage.value)
    run_id = get_step_context().pipeline_run.id
    link_run(champion, run_id)
    day = context.partition_date
    partition = find_partition(day, settled.landing, context.resolve(settled.landing), champion.contract)
    for root in (settled.predictions, settled.quarantine):
        PartitionStore(context.resolve(root)).remove_leftovers(day, keep_run=str(run_id))
    shards = len(settled.shards.spans(partition.rows))
    log_metadata(metadata={SHARD_COUNTS: {"score_partition": shards}}, run_id_name_or_prefix=run_id)
    return partition, champion


@step(enable_cache=False, extra=STREAM)
def validate_partition(
    partition: PartitionRef, champion: ScoringVersion, config: BatchInferenceConfig
) -> Annotated[CheckedPartition, "checked_partition"]:
    """Check every row against the contract stored beside the model; bad rows go to quarantine with reasons.

    Raises:
        IncompletePartitionError: If the files changed since they were found.
    """
    context = get_run_context()
    return quarantine_bad_rows(
        partition,
        champion.contract,
        landing=context.resolve(config.landing),
        store=PartitionStore(context.resolve(config.quarantine)),
        batch_rows=config.batch_rows,
        run_id=str(get_step_context().pipeline_run.id),
    )


@step(enable_cache=False, extra=_SHARDED)
def score_partition(
    partition: PartitionRef,
    champion: ScoringVersion,
    checked_partition: CheckedPartition,
    config: BatchInferenceConfig,
) -> Annotated[ScoredPartition, "scored_partition"]:
    """Score every row that is not in quarantine; what shards of the day have scored already is gathered.

    Raises:
        PartitionError: If the run's quarantine file, or the file of a shard, is gone or damaged.
        IncompletePartitionError: If the files changed since they were validated.
    """
    # load_artifact, and not a plain download, records the model as an input of this step.
    model = load_artifact(champion.model_artifact_id)
    run_id = str(get_step_context().pipeline_run.id)
    return _scoring(partition, champion, checked_partition, config, run_id, lambda: model).gather()


def score_shard(
    shard: int,
    run_id: str,
    partition: PartitionRef,
    champion: ScoringVersion,
    checked_partition: CheckedPartition,
    config: dict[str, Any],
) -> dict[str, int]:
    """Score one shard of a day, on any worker, in any order; ``score_partition`` gathers what it leaves.

    Returns:
        Number of the rows scored, for the task's record.

    Raises:
        PartitionError: If the run's quarantine file is gone or damaged.
        IncompletePartitionError: If the files changed since they were validated.
    """
    settled = BatchInferenceConfig.model_validate(config)
    scoring = _scoring(
        partition, champion, checked_partition, settled, run_id, lambda: load_artifact(champion.model_artifact_id)
    )
    return {"rows": scoring.score_shard(shard).file.rows}


def _scoring(
    partition: PartitionRef,
    champion: ScoringVersion,
    checked: CheckedPartition,
    config: BatchInferenceConfig,
    run_id: str,
    model: Callable[[], Any],
) -> DayScoring:
    context = get_run_context()
    return DayScoring(
        model=model,
        partition=partition,
        champion=champion,
        checked=checked,
        landing=context.resolve(config.landing),
        quarantine=PartitionStore(context.resolve(config.quarantine)),
        store=PartitionStore(context.resolve(config.predictions)),
        batch_rows=config.batch_rows,
        threshold=config.decision_threshold,
        run_id=run_id,
        spans=config.shards.spans(partition.rows),
    )


@step(enable_cache=False, extra=IO)
def publish_predictions(
    partition: PartitionRef,
    champion: ScoringVersion,
    checked_partition: CheckedPartition,
    scored_partition: ScoredPartition,
    config: BatchInferenceConfig,
    provenance: Provenance,
) -> Annotated[str, "manifest"]:
    """Make the run's files the partition of the day, in one step.

    Quarantine goes first: the manifest of the predictions names the quarantine file it belongs to, so readers
    that start from the predictions never combine two runs.

    Returns:
        Location of the manifest, below the storage root or as a URL.

    Raises:
        RowsLostError: If the rows in predictions and quarantine are not the rows that came in.
        PartitionError: If a file is gone or damaged. The old partition stays as it was.
    """
    check_counts(partition, checked_partition, scored_partition)
    context = get_run_context()
    now = datetime.now(UTC)
    run_id = str(get_step_context().pipeline_run.id)
    refused = QuarantineManifest(
        partition_date=partition.day,
        zenml_run_id=run_id,
        rows=checked_partition.quarantined,
        files=(checked_partition.quarantine,),
        reasons=checked_partition.reasons,
        published_at=now,
    )
    manifest = PredictionManifest(
        partition_date=partition.day,
        zenml_run_id=run_id,
        rows=scored_partition.rows,
        files=scored_partition.files,
        rows_in=partition.rows,
        scored=scored_partition.rows,
        quarantined=checked_partition.quarantined,
        high_risk=scored_partition.high_risk,
        decision_threshold=config.decision_threshold,
        quarantine=checked_partition.quarantine,
        input_files=partition.files,
        input_rows=partition.rows_by_file,
        input_location=partition.location,
        model_name=champion.model_name,
        model_version=champion.version,
        model_version_id=champion.version_id,
        training_run_id=champion.training_run_id,
        scoring_run_id=scored_partition.run_id,
        dag_id=context.dag_id,
        dag_run_id=context.dag_run_id,
        attempt=context.attempt,
        logical_date=context.logical_date,
        environment=context.environment,
        provenance=provenance,
        published_at=now,
    )
    predictions = PartitionStore(context.resolve(config.predictions))
    # Whatever would stop the second of the two replacements is looked for before the first.
    predictions.check_replaceable(partition.day)
    for file in scored_partition.files:
        predictions.check(file)
    PartitionStore(context.resolve(config.quarantine)).publish(partition.day, checked_partition.run_path, refused)
    path = predictions.publish(partition.day, scored_partition.run_path, manifest)
    return f"{config.predictions.rstrip('/')}/{path}"


@step(enable_cache=False, extra=IO)
def summarize(
    partition: PartitionRef, manifest: str, config: BatchInferenceConfig
) -> Annotated[BatchSummary, "batch_summary"]:
    """Say what the day came to, from what readers now find on disk, and record it with the ZenML run.

    Raises:
        PartitionError: If the published partition cannot be read back.
        RowsLostError: If its counts do not add up to the rows that came in.
    """
    context = get_run_context()
    store = PartitionStore(context.resolve(config.predictions))
    published = PredictionManifest.model_validate(store.manifest(partition.day))
    summary = BatchSummary.of(published, manifest)
    lineage = _lineage(published, config, context)
    log_metadata(
        metadata={"batch_summary": summary.model_dump(mode="json"), "lineage": lineage},
        run_id_name_or_prefix=get_step_context().pipeline_run.id,
    )
    return summary


def _lineage(published: PredictionManifest, config: BatchInferenceConfig, context: RunContext) -> dict[str, Any]:
    """What the run read and wrote, as the bridge hands it to OpenLineage and to asset events."""

    def dataset(location: str, rows: int, digests: Iterable[str]) -> dict[str, Any]:
        uri = context.resolve(f"{location}/date={published.partition_date.isoformat()}")
        return {"uri": uri, "rows": rows, "sha256": digest_of_files(digests)}

    return {
        "inputs": [dataset(config.landing, published.rows_in, published.input_files.values())],
        "outputs": [
            dataset(config.predictions, published.scored, [file.sha256 for file in published.files]),
            dataset(config.quarantine, published.quarantined, [published.quarantine.sha256]),
        ],
        "model": published.model_name,
        "model_version": str(published.model_version),
    }
