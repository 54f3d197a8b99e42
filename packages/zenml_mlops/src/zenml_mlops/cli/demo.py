"""``mlops demo``: the main job, end to end, in a real Airflow, and the proof that everyone agrees on it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, cast

from rich.console import Console
from rich.table import Table

from zenml_airflow.contracts.frozen import Frozen
from zenml_mlops.airflow_api.api import AirflowApi, AirflowApiError
from zenml_mlops.airflow_api.runs import follow_run, progress_bar
from zenml_mlops.cli.sentences import print_table
from zenml_mlops.environment.deploying import deploy_all
from zenml_mlops.interrupts import terminable
from zenml_mlops.local import services

if TYPE_CHECKING:
    from zenml_airflow.settings.project import Settings

RUN_TIMEOUT_SECONDS = 1200.0


class DisagreementError(RuntimeError):
    """Airflow, ZenML and the files on disk tell different stories."""


class DayReport(Frozen):
    """One day of the backfill, as ZenML recorded it and the files and Airflow confirm it."""

    day: date
    rows_in: int
    scored: int
    quarantined: int
    high_risk: int
    model_version: int
    zenml_run_id: str
    airflow_run_id: str


def run_demo(settings: Settings, source: str, console: Console, *, days: int | None = None) -> None:
    """Fetch, deploy, start, train, promote, feed, backfill, compare, and print the table.

    A failure or Ctrl-C before the end stops every service again.

    Args:
        days: How many days are scored; as configured if none are named.

    Raises:
        RuntimeError: If a part fails; the message says which and why.
    """
    started = time.monotonic()
    with terminable(), _stopped_on_failure(settings, console):
        fed = _prepare(settings, source, days or settings.demo.days, console)
        api = AirflowApi(settings)
        _train(api, settings, console)
        _promote(settings, console)
        first, last = min(fed), max(fed)
        _backfill(api, settings, first, last, console)
        reports = reconcile(api, settings, fed)
    _print(reports, console)
    console.print(f"Airflow, ZenML and the files agree. Took {time.monotonic() - started:.0f} s.\n")
    services.show_urls(settings, console.print)


def _dag_id(settings: Settings, pipeline: str) -> str:
    return f"{settings.use_case}_{pipeline}"


def _ready_dag(api: AirflowApi, settings: Settings, pipeline: str) -> str:
    dag_id = _dag_id(settings, pipeline)
    api.wait_for_dag(dag_id)
    api.unpause(dag_id)
    return dag_id


def _prepare(settings: Settings, source: str, days: int, console: Console) -> dict[date, int]:
    """Fetch the data, deploy, start the services, feed the days; return the rows fed by day."""
    from zenml_mlops.data.config import DataConfig
    from zenml_mlops.data.feed import feed
    from zenml_mlops.data.fetch import fetch
    from zenml_mlops.data.use_case import load_use_case

    services.check_ports(settings)
    use_case = load_use_case(settings.definition)
    config = DataConfig.from_settings(settings)
    raw = settings.state_dir / config.raw
    _title(console, "Data")
    fetch(source, raw, use_case, console=console)
    first = settings.demo.first_day
    fed = feed(
        first,
        first + timedelta(days=days - 1),
        raw_dir=raw,
        landing=settings.resolve(settings.storage.landing),
        config=config,
        use_case=use_case,
        force=True,
    )
    console.print(f"fed {len(fed)} days from {first}: {sum(part.rows for part in fed)} rows")
    _title(console, "Deploy")
    deploy_all(settings, console.print)
    _title(console, "Services")
    services.start(settings, console.print)
    return {part.day: part.rows for part in fed}


def _train(api: AirflowApi, settings: Settings, console: Console) -> None:
    _title(console, "Train through Airflow")
    dag_id = _ready_dag(api, settings, "training")
    run_id = api.trigger(dag_id)
    follow_run(api, dag_id, run_id, console, timeout=RUN_TIMEOUT_SECONDS)


def _promote(settings: Settings, console: Console) -> None:
    from zenml_mlops.inference.config import BatchInferenceConfig
    from zenml_mlops.promotion import latest_candidate, promote

    _title(console, "Promote")
    scoring = BatchInferenceConfig.from_settings(settings.model_dump())
    version = latest_candidate(scoring.model_name, scoring.stage)
    if version is None:
        raise DisagreementError("Training succeeded, yet ZenML has no version whose gates passed.")
    console.print(str(promote(scoring.model_name, version, scoring.stage, environment=settings.environment)))


def _backfill(api: AirflowApi, settings: Settings, first: date, last: date, console: Console) -> None:
    _title(console, f"Backfill {first} to {last} with Airflow")
    dag_id = _ready_dag(api, settings, "batch_inference")
    before = {run["dag_run_id"]: run["end_date"] for run in api.runs(dag_id)}
    api.backfill(dag_id, first, last, max_active_runs=settings.demo.max_active_runs)
    total = (last - first).days + 1

    def poll() -> list[dict[str, Any]]:
        return list(api.ended_anew(dag_id, first, last, before).values())

    with progress_bar(console) as progress:
        task = progress.add_task("days", total=total)
        runs: list[dict[str, Any]] = []
        for runs in api.follow(poll, timeout=RUN_TIMEOUT_SECONDS, expected=total):
            done = sum(run["state"] == "success" for run in runs)
            active = sum(run["state"] == "running" for run in runs)
            progress.update(task, completed=done, description=f"{done} of {total} days, {active} running")
    if failed := [run for run in runs if run["state"] == "failed"]:
        run_id = failed[0]["dag_run_id"]
        raise AirflowApiError(f"{run_id} failed: {api.failure(dag_id, run_id)}")


def reconcile(api: AirflowApi, settings: Settings, fed: dict[date, int]) -> list[DayReport]:
    """Compare Airflow's runs, ZenML's runs and the partitions on disk, day by day.

    Args:
        fed: Rows in the landing zone by day.

    Raises:
        DisagreementError: If they differ; every difference is listed.
    """
    airflow_runs = api.runs_of_days(_dag_id(settings, "batch_inference"), min(fed), max(fed))
    problems: list[str] = []
    reports = []
    for day, rows in sorted(fed.items()):
        report, found = _reconcile_day(settings, day, rows, airflow_runs.get(day))
        problems += [f"{day}: {problem}" for problem in found]
        if report is not None:
            reports.append(report)
    if problems:
        raise DisagreementError("Airflow, ZenML and the files disagree: " + "; ".join(problems))
    return reports


def _reconcile_day(
    settings: Settings, day: date, rows: int, run: dict[str, Any] | None
) -> tuple[DayReport | None, list[str]]:
    from zenml.client import Client

    from zenml_mlops.data.partitions import PartitionStore, read_predictions, read_quarantine
    from zenml_mlops.data.use_case import load_use_case

    if run is None or run["state"] != "success":
        return None, [f"Airflow's run is {run['state'] if run else 'missing'}"]
    predictions = settings.resolve(settings.storage.predictions)
    manifest = PartitionStore(predictions).manifest(day)
    zenml_run = Client().get_pipeline_run(manifest["zenml_run_id"], hydrate=True)
    recorded = cast("dict[str, Any]", zenml_run.run_metadata.get("batch_summary", {}))
    row_id = load_use_case(settings.definition).contract.row_id
    scored_ids = set(read_predictions(predictions, day)[row_id])
    quarantined = len(read_quarantine(settings.resolve(settings.storage.quarantine), day))
    steps = zenml_run.snapshot.step_configurations if zenml_run.snapshot else {}
    facts: dict[str, tuple[object, object]] = {
        "ZenML run status": (zenml_run.status.value, "completed"),
        "ZenML steps": (set(zenml_run.steps), set(steps)),
        "logical date": (str(zenml_run.run_metadata.get("logical_date"))[:10], day.isoformat()),
        "Airflow run in ZenML": (zenml_run.run_metadata.get("dag_run_id"), run["dag_run_id"]),
        "rows fed and rows in": (recorded.get("rows_in"), rows),
        "scored rows on disk": (len(scored_ids), recorded.get("scored")),
        "quarantined rows on disk": (quarantined, recorded.get("quarantined")),
        "scored plus quarantined": (len(scored_ids) + quarantined, rows),
        "ZenML run of the summary": (recorded.get("zenml_run_id"), str(zenml_run.id)),
    }
    problems = [f"{what}: {left!r} is not {right!r}" for what, (left, right) in facts.items() if left != right]
    if problems:
        return None, problems
    fields = ("rows_in", "scored", "quarantined", "high_risk", "model_version")
    return (
        DayReport(
            day=day,
            zenml_run_id=str(zenml_run.id),
            airflow_run_id=run["dag_run_id"],
            **{field: recorded[field] for field in fields},
        ),
        [],
    )


def _print(reports: list[DayReport], console: Console) -> None:
    table = Table(title="Daily batch inference")
    table.add_column("day", no_wrap=True)
    for column in ("rows in", "scored", "quarantined", "high-risk", "model version"):
        table.add_column(column, justify="right")
    table.add_column("ZenML run", no_wrap=True)
    table.add_column("Airflow run")
    for item in reports:
        table.add_row(
            item.day.isoformat(),
            *(str(n) for n in (item.rows_in, item.scored, item.quarantined, item.high_risk, item.model_version)),
            item.zenml_run_id[:8],
            item.airflow_run_id,
        )
    print_table(table, console)


def _title(console: Console, text: str) -> None:
    console.rule(f"[bold]{text}[/bold]", align="left")


@contextmanager
def _stopped_on_failure(settings: Settings, console: Console) -> Iterator[None]:
    try:
        yield
    except BaseException:
        services.stop(settings, console.print)
        raise
