"""What `mlops audit report` puts together: the log, ZenML's memory of it, and the published partitions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import cache
from typing import TYPE_CHECKING

from zenml_mlops.audit import Head, verify
from zenml_mlops.audit.chapters import ScoredPartition
from zenml_mlops.audit.entries import parse_entry
from zenml_mlops.audit.report import AuditReport, build_report
from zenml_mlops.lineage.tracing import stores_of

if TYPE_CHECKING:
    from zenml_airflow.settings.project import Settings
    from zenml_mlops.audit.log import AuditLog


def make_report(settings: Settings, log: AuditLog, first: date, last: date, *, offline: bool) -> AuditReport:
    """Report on some days of an environment.

    Args:
        first: First day, UTC; of all that is known if it is ``date.min``.
        last: Last day, UTC, inclusive; of all that is known if it is ``date.max``.
        offline: Whether to ask ZenML nothing: neither which heads it remembers, nor the names of versions.

    Returns:
        The report; of a broken log, what stands before the break.

    Raises:
        ValueError: If the first day is after the last.
        TraceError: If a manifest of predictions cannot be read.
    """
    heads: dict[str, Head] = {}
    if not offline:
        from zenml_mlops.audit.heads import remembered_heads

        # Before the log is read: an entry that is added meanwhile must not be missed in it.
        heads = remembered_heads()
    lines = list(log.lines())
    found = verify(lines, heads)
    entries = [parse_entry(line.removesuffix(b"\n")) for line in lines[: found.entries]]
    published = list(_published(settings))
    moments = [entry.at for entry in entries] + [item.published_at for item in published]
    days = [moment.astimezone(UTC).date() for moment in moments]
    if first == date.min:
        first = min([*days, min(last, datetime.now(UTC).date())])
    if last == date.max:
        last = max([*days, first])
    return build_report(
        entries,
        found,
        published,
        first=first,
        last=last,
        environment=settings.environment,
        log=log.location,
        heads_asked=not offline,
        named=None if offline else _version_name,
    )


def _published(settings: Settings) -> Iterator[ScoredPartition]:
    stores = stores_of(settings)
    for partition in stores.partitions(stores.predictions.days(), replaced=True):
        manifest = partition.manifest
        yield ScoredPartition(
            day=manifest.partition_date,
            published_at=manifest.published_at,
            model=manifest.model_name,
            version=manifest.model_version,
            version_id=str(manifest.model_version_id),
            scored=manifest.scored,
            quarantined=manifest.quarantined,
            replaced=not partition.current,
            zenml_run=manifest.zenml_run_id,
            airflow=f"airflow:{manifest.dag_id}/{manifest.dag_run_id}",
        )


@cache
def _version_name(version_id: str) -> str | None:
    from zenml.client import Client

    found = Client().list_model_versions(id=version_id, hydrate=False)
    return next((f"{version.model.name}/{version.number}" for version in found.items), None)
