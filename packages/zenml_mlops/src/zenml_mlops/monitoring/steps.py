"""The steps of the ``monitoring`` pipeline."""

from datetime import UTC, datetime
from typing import Annotated, Any

from zenml import add_tags, get_step_context, log_metadata, step
from zenml.types import HTMLString

from zenml_airflow import get_run_context
from zenml_airflow.contracts.frozen import Frozen
from zenml_mlops.data.partitions import PartitionStore, StoredFile
from zenml_mlops.data.use_case import load_use_case
from zenml_mlops.monitoring.config import MonitoringConfig
from zenml_mlops.monitoring.day import Baselines, Scored
from zenml_mlops.monitoring.findings import (
    DAY_PAGE,
    FINDINGS_FILE,
    TREND_PAGE,
    Findings,
    MonitoringManifest,
    Watch,
)
from zenml_mlops.monitoring.performance import Outcomes
from zenml_mlops.monitoring.report import render_day, render_trend
from zenml_mlops.step_options import IO, STREAM

NOTIFICATIONS = "notifications"
"""Metadata of a run: texts, the notifications to send."""

ASSET_EVENTS = "asset_events"
"""Metadata of a run: by name of an asset, what its update is to carry."""

RETRAINING = "retraining"
"""The asset whose update starts a training."""

_MOST_SHOWN = 10


class Monitored(Frozen):
    """What a run found of the days that it looked at, in order."""

    days: tuple[Findings, ...]


@step(enable_cache=False, extra=STREAM)
def watch_days(config: MonitoringConfig) -> Annotated[Monitored, "monitored"]:
    """Evaluate the days that the run is for.

    Raises:
        ConfigError: If the run carries a parameter that would have no effect.
        PartitionError: If one of them has no predictions, or they are damaged.
        OutcomesError: If outcomes that have arrived are damaged.
    """
    context = get_run_context()
    settled = config.with_params(context.params)
    use_case = load_use_case(settled.use_case)
    scored = Scored(
        context.resolve(settled.predictions),
        context.resolve(settled.landing),
        batch_rows=settled.batch_rows,
        baselines=Baselines(settled.model_name),
        grouping=use_case.load_grouping(),
    )
    outcomes = Outcomes(
        scored, context.resolve(settled.outcomes), use_case.contract, settled.bootstrap, settled.seed
    )
    store = PartitionStore(context.resolve(settled.findings))
    watch = Watch(settled.rules, scored, outcomes, store)
    return Monitored(days=tuple(watch.findings(day) for day in context.partition_dates))


@step(enable_cache=False, extra=IO)
def publish_findings(
    monitored: Monitored, config: MonitoringConfig
) -> tuple[Annotated[HTMLString, "monitoring_day"], Annotated[HTMLString, "monitoring_trend"]]:
    """Publish what was found of each day as its partition, and record the notifications.

    An alert is sent once: not again when the day is monitored another time, nor while it stays open.

    Returns:
        The pages of the last day.
    """
    context = get_run_context()
    run_id = str(get_step_context().pipeline_run.id)
    store = PartitionStore(context.resolve(config.findings))
    notifications: list[str] = []
    retrain: list[str] = []
    for found in monitored.days:
        before = {key for earlier in store.history(found.day) for key in earlier["new_alerts"]}
        new = [alert for alert in found.new_alerts if alert.key not in before]
        notifications += [f"Monitoring, {found.day}: {alert.key} ({alert.evidence})" for alert in new]
        retrain += [alert.key for alert in new if alert.kind.value in config.rules.retrain_on]
        _publish(store, found, run_id)
    last = monitored.days[-1]
    recorded: dict[str, Any] = {
        "monitoring": {
            "days": [str(found.day) for found in monitored.days],
            "flagged": sum(len(found.flagged) for found in monitored.days),
            "open_alerts": [alert.key for alert in last.alerts][:_MOST_SHOWN],
            "new_alerts": len(notifications),
        },
        NOTIFICATIONS: [
            *notifications[:_MOST_SHOWN],
            *([f"and {len(notifications) - _MOST_SHOWN} more alerts"] if len(notifications) > _MOST_SHOWN else []),
        ],
        ASSET_EVENTS: {RETRAINING: {"alerts": retrain[:_MOST_SHOWN]}} if retrain else {},
    }
    log_metadata(metadata=recorded, run_id_name_or_prefix=run_id)
    if last.alerts:
        add_tags(tags=["monitoring:alert"], run=run_id)
    return HTMLString(render_day(last)), HTMLString(render_trend(last))


def _publish(store: PartitionStore, found: Findings, run_id: str) -> None:
    context = get_run_context()
    folder = store.run_path(found.day, run_id)
    store.remove_leftovers(found.day, keep_run=run_id)
    contents = {
        FINDINGS_FILE: found.model_dump_json(indent=1),
        DAY_PAGE: render_day(found),
        TREND_PAGE: render_trend(found),
    }
    files: list[StoredFile] = []
    for name, text in contents.items():
        store.put(f"{folder}/{name}", text.encode())
        files.append(store.stored(f"{folder}/{name}", 0))
    manifest = MonitoringManifest(
        partition_date=found.day,
        zenml_run_id=run_id,
        rows=found.own.rows,
        files=tuple(files),
        predictions_run_id=found.own.run_id,
        model_version=found.own.version,
        flagged=tuple(check.key for check in found.flagged),
        alerts=tuple(alert.key for alert in found.alerts),
        new_alerts=tuple(alert.key for alert in found.new_alerts),
        environment=context.environment,
        dag_id=context.dag_id,
        dag_run_id=context.dag_run_id,
        published_at=datetime.now(UTC),
    )
    store.publish(found.day, folder, manifest)
