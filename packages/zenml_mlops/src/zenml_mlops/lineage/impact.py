"""What `mlops impact` answers: every prediction that came of a file, a model version or a run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING

from zenml_airflow.contracts.frozen import Frozen
from zenml_airflow.settings.project import every_use_case
from zenml_mlops.data.partitions import PartitionStore
from zenml_mlops.lineage import Lineage, forward
from zenml_mlops.lineage.partitions import Stores, TraceError
from zenml_mlops.lineage.records import versions_of_run, versions_trained_on
from zenml_mlops.lineage.shadows import AffectedShadow, affected_shadows
from zenml_mlops.lineage.tracing import stores_of, version_name

if TYPE_CHECKING:
    from zenml_airflow.settings.project import Settings


class _ScoresImpact(Frozen):
    """Affected scores of a day.

    Attributes:
        current: Whether they are the day's, or were replaced since.
    """

    date: date
    current: bool
    model: str
    model_version: int
    zenml_run: str
    affected: int


class ShadowImpact(_ScoresImpact):
    """Affected scores of a challenger, which were never published."""


class DayImpact(_ScoresImpact):
    """Affected predictions of one published partition.

    Attributes:
        exact: Whether exactly these are affected; if not, the records cannot tell them from the others.
        row_ids: The ids of the rows, if they are asked for.
    """

    predictions: int
    exact: bool
    row_ids: tuple[int, ...] | None = None


class Impact(Frozen):
    """Every prediction that came of something.

    Attributes:
        asked: What was asked, by option.
        cause: What that is, in a sentence.
        affected: Number of affected predictions in the partitions that are current.
        replaced: The same in partitions that were replaced since.
        shadow: What challengers scored in their shadow and is affected too; it counts in no sum.
    """

    schema_version: int = 1
    asked: dict[str, str]
    cause: str
    affected: int
    replaced: int
    days: tuple[DayImpact, ...]
    shadow: tuple[ShadowImpact, ...] = ()


def impact_of_file(settings: Settings, named: str, *, replaced: bool, ids: bool) -> Impact:
    """The predictions made from a landing file, or by versions trained on a data file, in all use cases.

    Args:
        named: ``date=DAY/NAME.parquet`` in the landing zone, the location of training data, or a sha256.
        replaced: List partitions too that were replaced since.

    Raises:
        TraceError: If nothing was made from such a file.
    """
    return _everywhere(_of_file, settings, named, replaced=replaced, ids=ids)


def impact_of_version(settings: Settings, named: str, *, replaced: bool, ids: bool) -> Impact:
    """The predictions of a model version, in all use cases; one that ZenML has lost is known from the partitions.

    Raises:
        TraceError: If there is no such version in ZenML and in no partition.
    """
    # A number alone is of the model of the use case that was asked for.
    model, number = version_name(settings, named)
    return _everywhere(_of_version, settings, f"{model}/{number}", replaced=replaced, ids=ids)


def impact_of_run(settings: Settings, named: str, *, replaced: bool, ids: bool) -> Impact:
    """The predictions that a run scored, or that a version scored which it trained, in all use cases.

    Raises:
        TraceError: If ZenML has no such run, and no partition names it.
    """
    return _everywhere(_of_run, settings, named, replaced=replaced, ids=ids)


def _everywhere(
    ask: Callable[..., Impact], settings: Settings, named: str, *, replaced: bool, ids: bool
) -> Impact:
    """What is found in the tables of each use case, together: ZenML knows runs and versions of all of them."""
    found: list[Impact] = []
    unknown: list[TraceError] = []
    for own in every_use_case(settings):
        try:
            found.append(ask(own, named, replaced=replaced, ids=ids))
        except TraceError as error:
            unknown.append(error)
    if not found:
        raise unknown[0]
    return found[0].model_copy(
        update={
            "affected": sum(one.affected for one in found),
            "replaced": sum(one.replaced for one in found),
            "days": tuple(day for one in found for day in one.days),
            "shadow": tuple(day for one in found for day in one.shadow),
        }
    )


def _of_file(settings: Settings, named: str, *, replaced: bool, ids: bool) -> Impact:
    stores = stores_of(settings)
    file = forward.landing_file(named, stores)
    found = forward.affected_by_file(stores, file, replaced=True) if file else []
    if found:
        shadow = affected_shadows(_shadow_store(settings), found)
        cause = f"landing file {named}"
        return _impact(stores, {"file": named}, cause, found, shadow, replaced=replaced, ids=ids)
    trained = versions_trained_on(named)
    if not trained:
        raise TraceError(
            f"Nothing was made from {named!r}: no published partition names it among its input files, and no "
            "model version was trained on it. Name a landing file as date=DAY/NAME.parquet, training data by its "
            "configured location, or either by its sha256."
        )
    versions = [str(version.id) for version in trained]
    found = forward.affected_by_versions(stores, versions, replaced=True)
    shadow = affected_shadows(_shadow_store(settings), versions=versions)
    names = ", ".join(f"{version.model.name} {version.number}" for version in trained)
    return _impact(stores, {"file": named}, f"data of {names}", found, shadow, replaced=replaced, ids=ids)


def _of_version(settings: Settings, named: str, *, replaced: bool, ids: bool) -> Impact:
    model, number = version_name(settings, named)
    version = Lineage().version(model, number)
    stores = stores_of(settings)
    known = version.facts.get("version id")
    by_id, by_name = ([known], []) if known else ([], [(model, number)])
    found = forward.affected_by_versions(stores, by_id, by_name, replaced=True)
    shadow = affected_shadows(_shadow_store(settings), versions=by_id, named=by_name)
    if not found and not shadow and not known:
        raise TraceError(f"Neither ZenML nor any partition has a version {number} of a model {model!r}.")
    lost = "" if known else ", which ZenML no longer has"
    cause = f"{model} version {number}{lost}"
    return _impact(stores, {"model_version": named}, cause, found, shadow, replaced=replaced, ids=ids)


def _of_run(settings: Settings, named: str, *, replaced: bool, ids: bool) -> Impact:
    run = Lineage().find_run(named)
    run_id = named if run is None else str(run.id)
    stores = stores_of(settings)
    trained = [str(version.id) for version in versions_of_run(run_id)]
    found = {
        (one.partition.manifest.zenml_run_id, one.partition.day): one
        for one in [
            *forward.affected_by_run(stores, run_id, replaced=True),
            *(forward.affected_by_versions(stores, trained, replaced=True) if trained else []),
        ]
    }
    if run is None and not found:
        raise TraceError(
            f"ZenML has no run {named!r}, and no partition names it. Its id or its full name is needed."
        )
    cause = f"run {named}" if run is not None else f"run {named}, which ZenML no longer has"
    shadow = affected_shadows(_shadow_store(settings), versions=trained, run_id=run_id)
    return _impact(stores, {"run": named}, cause, list(found.values()), shadow, replaced=replaced, ids=ids)


def _shadow_store(settings: Settings) -> PartitionStore:
    return PartitionStore(settings.resolve(settings.storage.shadow))


def _impact(
    stores: Stores,
    asked: dict[str, str],
    cause: str,
    found: list[forward.Affected],
    shadow: list[AffectedShadow],
    *,
    replaced: bool,
    ids: bool,
) -> Impact:
    days = []
    for one in sorted(found, key=lambda one: (one.partition.day, not one.partition.current)):
        if not one.partition.current and not replaced:
            continue
        manifest = one.partition.manifest
        days.append(
            DayImpact(
                date=one.partition.day,
                current=one.partition.current,
                model=manifest.model_name,
                model_version=manifest.model_version,
                zenml_run=manifest.zenml_run_id,
                affected=one.rows,
                predictions=manifest.rows,
                exact=one.exact,
                row_ids=tuple(forward.affected_ids(stores, one)) if ids else None,
            )
        )
    return Impact(
        asked=asked,
        cause=cause,
        affected=sum(one.rows for one in found if one.partition.current),
        replaced=sum(one.rows for one in found if not one.partition.current),
        days=tuple(days),
        shadow=tuple(
            ShadowImpact(
                date=one.manifest.partition_date,
                current=one.current,
                model=one.manifest.model_name,
                model_version=one.manifest.model_version,
                zenml_run=one.manifest.zenml_run_id,
                affected=one.rows,
            )
            for one in shadow
            if one.current or replaced
        ),
    )
