"""What challengers scored in the shadow of the published predictions, and what of it came of something."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from zenml_mlops.data.partitions import PartitionStore
from zenml_mlops.inference.shadow import ShadowManifest
from zenml_mlops.lineage.forward import Affected
from zenml_mlops.lineage.partitions import DamagedManifestError


@dataclass(frozen=True)
class AffectedShadow:
    """Scores of a challenger that came of something. Nobody was shown them.

    Attributes:
        manifest: What its run wrote.
        current: Whether it is the day's; ``False`` once another run replaced it.
    """

    manifest: ShadowManifest
    current: bool
    rows: int


def affected_shadows(
    store: PartitionStore,
    predictions: Iterable[Affected] = (),
    *,
    versions: Collection[str] = (),
    named: Collection[tuple[str, int]] = (),
    run_id: str | None = None,
) -> list[AffectedShadow]:
    """The scores that came of the rows of affected predictions, of model versions, or of a run.

    Args:
        store: Where challengers score.
        predictions: Affected predictions; a challenger scored the same rows in the same order.
        named: Versions by name and number, where ZenML has lost them.

    Raises:
        DamagedManifestError: If a manifest is not one that this project writes.
    """
    rows = {one.partition.manifest.files: one.rows for one in predictions}
    found = []
    for manifest, current in _shadows(store):
        whole = (
            str(manifest.model_version_id) in versions
            or (manifest.model_name, manifest.model_version) in named
            or manifest.zenml_run_id == run_id
        )
        count = manifest.rows if whole else rows.get(manifest.champion_files, 0)
        if count:
            found.append(AffectedShadow(manifest, current, count))
    return found


def _shadows(store: PartitionStore) -> Iterator[tuple[ShadowManifest, bool]]:
    for day in store.days():
        history = store.history(day)
        for place, content in enumerate(history):
            try:
                manifest = ShadowManifest.model_validate(content)
            except ValidationError as error:
                raise DamagedManifestError(
                    f"A manifest of the shadow scores of {day} breaks its schema in {error.error_count()} places: "
                    "it was changed, or another version of the project wrote it. Run the day again."
                ) from error
            yield manifest, place == len(history) - 1
