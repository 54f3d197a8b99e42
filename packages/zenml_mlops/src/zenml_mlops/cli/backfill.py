"""``mlops backfill``: run a DAG for a range of past days, with Airflow's own backfill."""

from __future__ import annotations

import json
import sys
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Console

from zenml_airflow.contracts.frozen import Frozen
from zenml_mlops.cli.options import Environment, day_option
from zenml_mlops.cli.sentences import console, entered, errors

if TYPE_CHECKING:
    from zenml_airflow.settings.project import Settings
    from zenml_mlops.airflow_api.api import AirflowApi


class Reprocess(StrEnum):
    """Which days that have run are run again."""

    NONE = "none"
    FAILED = "failed"
    COMPLETED = "completed"


class BackfillRangeError(ValueError):
    """A range of days that must not be backfilled. The message lists everything that is wrong with it."""


class DayRange(Frozen):
    """Days from the first to the last, both included."""

    first: date
    last: date

    @property
    def days(self) -> int:
        """Number of days."""
        return (self.last - self.first).days + 1

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first} to {self.last}"


def checked_range(first: date, last: date, *, today: date, longest: int) -> DayRange:
    """A range of days that are over.

    Args:
        today: The day that is not over yet, in the environment's time zone.

    Raises:
        BackfillRangeError: If it is no such range; every problem is listed.
    """
    found = DayRange(first=first, last=last)
    problems = []
    if first > last:
        problems.append(f"--from {first} lies after --to {last}")
    if last >= today:
        problems.append(f"--to {last} is not over: {today - timedelta(days=1)} is the last day that is")
    if found.days > longest:
        problems.append(f"{found.days} days are more than airflow.backfill_days of configs/ allows, {longest}")
    if problems:
        raise BackfillRangeError("This range cannot be backfilled: " + "; ".join(problems) + ".")
    return found


def days_to_run(api: AirflowApi, body: dict[str, Any], zone: ZoneInfo) -> list[date]:
    """The days that Airflow would run if it were sent the request, in order.

    Raises:
        AirflowApiError: If Airflow refuses it.
    """
    planned = api.request("POST", "backfills/dry_run", json=body)["backfills"]
    return sorted(datetime.fromisoformat(one["logical_date"]).astimezone(zone).date() for one in planned)


def follow_days(
    api: AirflowApi,
    dag_id: str,
    number: int,
    days: list[date],
    before: dict[str, Any],
    timeout: float,
    out: Console,
) -> None:
    """Wait until the days of a backfill have run and Airflow would take another one.

    Args:
        before: When each run, by its id, had ended before the backfill began.
        timeout: Seconds to wait.

    Raises:
        AirflowApiError: If a day failed, or they have not ended in time.
    """
    from zenml_mlops.airflow_api.api import AirflowApiError

    def poll() -> list[dict[str, Any]]:
        return [run for day, run in api.ended_anew(dag_id, days[0], days[-1], before).items() if day in wanted]

    wanted, said, runs = set(days), -1, list[dict[str, Any]]()
    for runs in api.follow(poll, timeout=timeout, expected=len(days)):
        done = sum(run["state"] == "success" for run in runs)
        if done != said:
            out.print(f"{done} of {len(days)} days are done", highlight=False)
            said = done
    if not api.wait_closed(dag_id, number):
        out.print(
            f"Airflow has not closed backfill {number} yet, and accepts no other until then.", highlight=False
        )
    if failed := sorted(run["dag_run_id"] for run in runs if run["state"] == "failed"):
        raise AirflowApiError(
            f"{len(failed)} of {len(days)} days failed: {', '.join(failed)}. "
            f"{failed[0]}: {api.failure(dag_id, failed[0])}"
        )


def backfill(
    dag: Annotated[str, typer.Argument(help="DAG, such as readmission_batch_inference.")],
    first: Annotated[datetime, day_option("--from", help="First day.")],
    last: Annotated[datetime, day_option("--to", help="Last day, included.")],
    reprocess: Annotated[
        Reprocess, typer.Option("--reprocess", help="Which days that have run are run again.")
    ] = Reprocess.NONE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the days that Airflow would run.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the days have run; exit with 1 if one failed.")
    ] = False,
    timeout: Annotated[int, typer.Option("--timeout", min=1, help="Seconds that --wait waits.")] = 6 * 3600,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON; the days' progress goes to stderr.")
    ] = False,
    environment: Environment = "local",
) -> None:
    """Run a DAG for a range of past days with Airflow's own backfill.

    The range is checked first: in order, over, and no longer than `airflow.backfill_days` of `configs/`. Days that
    have run are left alone unless `--reprocess` says otherwise. Airflow is the local one, or the one that the
    variable `MLOPS_AIRFLOW_URL` names, with `MLOPS_AIRFLOW_TOKEN`, or `MLOPS_AIRFLOW_USER` and
    `MLOPS_AIRFLOW_PASSWORD`.

    For example: `mlops backfill readmission_batch_inference --from 2026-01-05 --to 2026-01-11 --dry-run`
    """
    with entered(environment) as settings:
        found = checked_range(
            first.date(),
            last.date(),
            today=datetime.now(ZoneInfo(settings.timezone)).date(),
            longest=settings.airflow.backfill_days,
        )
        waited = timeout if wait else None
        _carry_out(settings, dag, found, reprocess, dry_run=dry_run, timeout=waited, as_json=as_json)


def _carry_out(
    settings: Settings,
    dag_id: str,
    wanted: DayRange,
    reprocess: Reprocess,
    *,
    dry_run: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    from zenml_mlops.airflow_api.api import AirflowApi

    api = AirflowApi(settings)
    dag = _backfillable(api, dag_id, starting=not dry_run)
    body = api.backfill_body(
        dag_id,
        wanted.first,
        wanted.last,
        reprocess=reprocess,
        max_active_runs=dag["max_active_runs"] or settings.demo.max_active_runs,
    )
    days = days_to_run(api, body, ZoneInfo(settings.timezone))
    if not days:
        raise BackfillRangeError(
            f"Nothing of {wanted} is left to run: each day has run already, is running, or lies outside the "
            "schedule. --reprocess says which days run again."
        )
    answer = {"dag": dag_id, "backfill": None, "days": list(map(str, days))}
    if dry_run and as_json:
        sys.stdout.write(json.dumps(answer) + "\n")
        return
    if dry_run:
        console.print("\n".join(map(str, days)), highlight=False)
        console.print(f"{len(days)} of {wanted.days} days would run. Nothing was started.", highlight=False)
        return
    before = {run["dag_run_id"]: run["end_date"] for run in api.runs_of_days(dag_id, days[0], days[-1]).values()}
    number = api.create_backfill(body)
    if as_json:
        sys.stdout.write(json.dumps({**answer, "backfill": number}) + "\n")
        sys.stdout.flush()
    else:
        console.print(f"backfill {number} of {dag_id}: {len(days)} days, {days[0]} to {days[-1]}", highlight=False)
    if timeout is not None:
        follow_days(api, dag_id, number, days, before, timeout, errors if as_json else console)


def _backfillable(api: AirflowApi, dag_id: str, *, starting: bool) -> dict[str, Any]:
    """Details of a DAG, if a backfill of it could begin now.

    Raises:
        AirflowApiError: If Airflow has no such DAG, it is paused, or another backfill of it has not ended.
    """
    from zenml_mlops.airflow_api.api import AirflowApiError

    known = {dag["dag_id"]: dag for dag in api.dags()}
    if dag_id not in known:
        raise AirflowApiError(f"Airflow has no DAG {dag_id!r}. Known: {sorted(known)}.")
    if starting and known[dag_id]["is_paused"]:
        raise AirflowApiError(f"{dag_id!r} is paused, so no run of a backfill would start: unpause it first.")
    if starting and (active := api.active_backfills(dag_id)):
        other = active[0]
        raise AirflowApiError(
            f"Backfill {other['id']} of {dag_id!r}, {other['from_date'][:10]} to {other['to_date'][:10]}, has not "
            "ended: Airflow allows one at a time. Wait for it, or cancel it in Airflow's UI."
        )
    return known[dag_id]
