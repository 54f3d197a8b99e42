"""What one scored day looks like, counted from its published partition and the rows that it was made of."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq
from zenml.client import Client

from zenml_airflow.contracts.frozen import Frozen
from zenml_mlops.data.landing import IncompletePartitionError, PartitionRef, check_digests, stream
from zenml_mlops.data.partitions import PartitionError, PartitionStore
from zenml_mlops.data.profile import PROFILE_ARTIFACT, Profile, profile_rows
from zenml_mlops.data.use_case import Grouping
from zenml_mlops.gates.limits import MetricReport
from zenml_mlops.inference.batch import PredictionManifest
from zenml_mlops.inference.champion import NoChampionError, ScoringVersion, describe_version

NO_PROFILE: Final = "it was trained before profiles were kept; train and promote a new version"


class Observation(Frozen):
    """A scored day in counts.

    Attributes:
        run_id: ZenML run that published it.
        high_risk: Rows at or above the threshold.
        profile: The counts; ``None`` where the rows that were scored are not there any more.
        problem: Why there is no profile.
    """

    day: date
    run_id: str
    model_version: int
    model_version_id: str
    rows: int
    quarantined: int
    high_risk: int
    profile: Profile | None = None
    problem: str = ""


class Baseline(Frozen):
    """What a version is compared with.

    Attributes:
        profile: Profile of the rows that it was evaluated on; ``None`` if it has none.
        problem: Why it has none.
        metrics: Its evaluation; ``None`` if ZenML does not know it.
    """

    version: int
    profile: Profile | None = None
    problem: str = ""
    metrics: MetricReport | None = None


class Baselines:
    """The baselines of the versions that scored, each read once."""

    def __init__(self, model_name: str) -> None:
        self._model = model_name
        self._found: dict[str, tuple[Baseline, ScoringVersion | None]] = {}

    def of(self, observed: Observation) -> Baseline:
        """What a day is compared with."""
        return self._read(observed.model_version_id, observed.model_version)[0]

    def of_manifest(self, manifest: PredictionManifest) -> Baseline:
        """The same, for a day of which only the manifest was read."""
        return self._read(str(manifest.model_version_id), manifest.model_version)[0]

    def champion(self, manifest: PredictionManifest) -> ScoringVersion:
        """The version that scored a day.

        Raises:
            NoChampionError: If ZenML does not know it any more.
        """
        baseline, found = self._read(str(manifest.model_version_id), manifest.model_version)
        if found is None:
            raise NoChampionError(baseline.problem)
        return found

    def _read(self, version_id: str, number: int) -> tuple[Baseline, ScoringVersion | None]:
        if version_id not in self._found:
            self._found[version_id] = self._describe(version_id, number)
        return self._found[version_id]

    def _describe(self, version_id: str, number: int) -> tuple[Baseline, ScoringVersion | None]:
        name = f"version {number} of {self._model!r}"
        try:
            version = Client().get_model_version(self._model, version_id)
            champion = describe_version(version)
        except (KeyError, NoChampionError) as error:
            why = str(error) if isinstance(error, NoChampionError) else f"ZenML no longer has {name}."
            return Baseline(version=number, problem=why), None
        recorded: Any = version.run_metadata.get("training")
        metrics = MetricReport.model_validate(recorded["metrics"]) if recorded else None
        artifact = version.get_artifact(PROFILE_ARTIFACT)
        if artifact is None:
            why = f"{name} has no monitoring profile: {NO_PROFILE}."
            return Baseline(version=number, problem=why, metrics=metrics), champion
        return Baseline(version=number, profile=artifact.load(), metrics=metrics), champion


class Scored:
    """The days that were scored: their manifests and their rows."""

    def __init__(
        self, predictions: str, landing: str, *, batch_rows: int, baselines: Baselines, grouping: Grouping
    ) -> None:
        self.store = PartitionStore(predictions)
        self._landing, self._batch_rows, self.baselines = landing, batch_rows, baselines
        self._grouping = grouping
        self._manifests: dict[date, PredictionManifest | None] = {}

    def manifest(self, day: date) -> PredictionManifest | None:
        """What was published for a day; ``None`` if nothing was."""
        if day not in self._manifests:
            try:
                self._manifests[day] = PredictionManifest.model_validate(self.store.manifest(day))
            except PartitionError:
                self._manifests[day] = None
        return self._manifests[day]

    def observe(self, day: date) -> Observation:
        """Count a published day.

        Raises:
            PartitionError: If the day has no partition, or a file of it does not match.
        """
        manifest = self.manifest(day)
        if manifest is None:
            self.store.manifest(day)
            raise PartitionError(f"The predictions of {day} were published while they were being read: run again.")
        profile, problem = None, ""
        try:
            profile = self._profile(manifest)
        except (IncompletePartitionError, NoChampionError) as error:
            problem = str(error)
        return Observation(
            day=day,
            run_id=manifest.zenml_run_id,
            model_version=manifest.model_version,
            model_version_id=str(manifest.model_version_id),
            rows=manifest.rows_in,
            quarantined=manifest.quarantined,
            high_risk=manifest.high_risk,
            profile=profile,
            problem=problem,
        )

    def partition(self, manifest: PredictionManifest) -> PartitionRef:
        """The rows that a day was made of, as they were when it was scored.

        Raises:
            IncompletePartitionError: If they are gone, or others stand in their place.
        """
        partition = PartitionRef(
            day=manifest.partition_date,
            location=manifest.input_location or f"date={manifest.partition_date}",
            rows=manifest.rows_in,
            files=manifest.input_files,
            rows_by_file=manifest.input_rows,
        )
        check_digests(partition, self._landing)
        return partition

    def rows(self, manifest: PredictionManifest) -> Iterator[pd.DataFrame]:
        """The rows that a day was made of, batch by batch.

        Raises:
            IncompletePartitionError: If they are gone, or others stand in their place.
            NoChampionError: If ZenML does not know the version that scored them any more.
        """
        contract = self.baselines.champion(manifest).contract
        for _, batch in stream(self.partition(manifest), self._landing, contract, self._batch_rows):
            yield batch.to_pandas()

    def predictions(self, manifest: PredictionManifest, columns: list[str]) -> Iterator[Any]:
        """The predictions of a day as record batches.

        Raises:
            PartitionError: If a file is gone or does not match the manifest.
        """
        for file in manifest.files:
            self.store.check(file)
            with self.store.fs.open(self.store.absolute(file.path), "rb") as source:
                yield from pq.ParquetFile(source).iter_batches(
                    batch_size=self._batch_rows, columns=columns, use_threads=False
                )

    def _profile(self, manifest: PredictionManifest) -> Profile:
        contract = self.baselines.champion(manifest).contract
        risks: Iterator[npt.NDArray[np.float64]] = (
            np.asarray(batch.column(0).to_numpy(zero_copy_only=False), dtype=np.float64)
            for batch in self.predictions(manifest, ["risk"])
        )
        # Versions are trained and evaluated on no others.
        rows = (frame.loc[contract.in_scope(frame)] for frame in self.rows(manifest))
        return profile_rows(rows, contract, self._grouping, risks)
