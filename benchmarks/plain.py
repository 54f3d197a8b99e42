"""Daily batch inference without ZenML: the same functions on the same rows, called by plain Airflow tasks.

What the pipeline's steps do beyond calling them (records, lineage, artifacts) is what the comparison is about.
Values travel as JSON, in XComs; the model comes from a joblib file.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from benchmarks.facts import PLAIN_ROOT, Facts
from zenml_airflow.context import RunContext
from zenml_airflow.run_date import context_from_airflow
from zenml_airflow.settings.project import load_settings


class PlainRun:
    """One day's run of a DAG without ZenML."""

    def __init__(self, context: RunContext, facts: Facts) -> None:
        from zenml_mlops.data.partitions import PartitionStore
        from zenml_mlops.inference.champion import ScoringVersion
        from zenml_mlops.inference.config import BatchInferenceConfig

        self.context = context
        self.facts = facts
        self.day = context.partition_date
        self.run_id = str(uuid5(NAMESPACE_URL, context.orchestrator_run_id))
        self.champion = ScoringVersion.model_validate(facts.champion)
        self.config = BatchInferenceConfig.model_validate(facts.config)
        self.landing = context.resolve(self.config.landing)
        self.predictions = PartitionStore(context.resolve(f"{PLAIN_ROOT}/{self.config.predictions}"))
        self.quarantine = PartitionStore(context.resolve(f"{PLAIN_ROOT}/{self.config.quarantine}"))

    @classmethod
    def of_task(cls) -> PlainRun:
        """The run that the current Airflow task belongs to."""
        from airflow.sdk import get_current_context

        settings = load_settings()
        return cls(context_from_airflow(get_current_context(), settings), Facts.read(settings.state_dir))

    def load(self) -> dict[str, Any]:
        """Find the day's partition."""
        from zenml_mlops.data.landing import find_partition

        found = find_partition(self.day, self.config.landing, self.landing, self.champion.contract)
        for store in (self.predictions, self.quarantine):
            store.remove_leftovers(self.day, keep_run=self.run_id)
        return found.model_dump(mode="json")

    def validate(self, partition: dict[str, Any]) -> dict[str, Any]:
        """Put bad rows into quarantine."""
        from zenml_mlops.data.landing import PartitionRef
        from zenml_mlops.inference.batch import quarantine_bad_rows

        return quarantine_bad_rows(
            PartitionRef.model_validate(partition),
            self.champion.contract,
            landing=self.landing,
            store=self.quarantine,
            batch_rows=self.config.batch_rows,
            run_id=self.run_id,
        ).model_dump(mode="json")

    def score(self, partition: dict[str, Any], checked: dict[str, Any]) -> dict[str, Any]:
        """Score the good rows."""
        import joblib

        from zenml_mlops.data.landing import PartitionRef
        from zenml_mlops.inference.batch import CheckedPartition
        from zenml_mlops.inference.shards import DayScoring

        given = PartitionRef.model_validate(partition)
        scoring = DayScoring(
            model=lambda: joblib.load(self.facts.model),
            partition=given,
            champion=self.champion,
            checked=CheckedPartition.model_validate(checked),
            landing=self.landing,
            quarantine=self.quarantine,
            store=self.predictions,
            batch_rows=self.config.batch_rows,
            threshold=self.config.decision_threshold,
            run_id=self.run_id,
            spans=self.config.shards.spans(given.rows),
        )
        return scoring.gather().model_dump(mode="json")

    def publish(self, partition: dict[str, Any], checked: dict[str, Any], scored: dict[str, Any]) -> str:
        """Make the run's files the partition of the day."""
        from zenml_airflow import Provenance
        from zenml_mlops.data.landing import PartitionRef
        from zenml_mlops.inference.batch import (
            CheckedPartition,
            PredictionManifest,
            QuarantineManifest,
            ScoredPartition,
            check_counts,
        )

        given = PartitionRef.model_validate(partition)
        kept = CheckedPartition.model_validate(checked)
        done = ScoredPartition.model_validate(scored)
        check_counts(given, kept, done)
        now = datetime.now(UTC)
        common = {"partition_date": given.day, "zenml_run_id": self.run_id, "published_at": now}
        refused = QuarantineManifest(
            **common, rows=kept.quarantined, files=(kept.quarantine,), reasons=kept.reasons
        )
        manifest = PredictionManifest(
            **common,
            rows=done.rows,
            files=done.files,
            rows_in=given.rows,
            scored=done.rows,
            quarantined=kept.quarantined,
            high_risk=done.high_risk,
            decision_threshold=self.config.decision_threshold,
            quarantine=kept.quarantine,
            input_files=given.files,
            model_name=self.champion.model_name,
            model_version=self.champion.version,
            model_version_id=self.champion.version_id,
            training_run_id=None,
            scoring_run_id=self.run_id,
            dag_id=self.context.dag_id,
            dag_run_id=self.context.dag_run_id,
            attempt=self.context.attempt,
            logical_date=self.context.logical_date,
            environment=self.context.environment,
            provenance=Provenance(),
        )
        self.predictions.check_replaceable(given.day)
        for file in done.files:
            self.predictions.check(file)
        self.quarantine.publish(given.day, kept.run_path, refused)
        return self.predictions.publish(given.day, done.run_path, manifest)

    def summarize(self, manifest: str) -> dict[str, Any]:
        """Say what the day came to, from what readers find on disk."""
        from zenml_mlops.inference.batch import BatchSummary, PredictionManifest

        published = PredictionManifest.model_validate(self.predictions.manifest(self.day))
        return BatchSummary.of(published, manifest).model_dump(mode="json")
