"""A thin client of Airflow's REST API: trigger, backfill, follow."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import httpx

from zenml_airflow.settings.project import Settings
from zenml_mlops.airflow_api.login import AirflowApiError, airflow_url, login
from zenml_mlops.local.services import last_line
from zenml_mlops.local.sqlite_locking import LOCK_SECONDS

__all__ = ["AirflowApi", "AirflowApiError"]

ANSWER_SECONDS = 2.0 * LOCK_SECONDS
"""Long enough to be told by Airflow on SQLite that its database was locked."""
FINISHED = frozenset({"success", "failed"})
CLOSING_SECONDS = 60.0
"""The scheduler closes backfills every 30 s; one that is open after twice that has no runs to close it with."""


class UnansweredError(AirflowApiError):
    """Airflow may have done what was asked, or not."""


class AirflowApi:
    """Airflow of one environment: the local one as its admin user, another as the variables of its login say.

    Raises:
        AirflowApiError: If Airflow does not answer or refuses the login.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.base_url = airflow_url(settings)
        self._client = httpx.Client(
            base_url=self.base_url, timeout=ANSWER_SECONDS, headers=login(settings, self.base_url)
        )

    def request(self, method: str, path: str, **arguments: Any) -> Any:
        """Send a request to ``/api/v2`` and return the parsed answer.

        Raises:
            AirflowApiError: If Airflow answers with an error, or not at all.
        """
        return self._checked(self._send(method, path, **arguments), method, path)

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            return self._client.request(method, f"/api/v2/{path}", **arguments)
        except httpx.TransportError as error:
            raise UnansweredError(f"Airflow at {self.base_url} did not answer {method} {path}: {error}") from error

    @staticmethod
    def _checked(response: httpx.Response, method: str, path: str) -> Any:
        if response.status_code >= httpx.codes.BAD_REQUEST:
            raise AirflowApiError(f"Airflow refused {method} {path}: {response.status_code} {response.text[:500]}")
        return response.json() if response.content else None

    def wait_for_dag(self, dag_id: str, *, timeout: float = 90) -> dict[str, Any]:
        """Wait until Airflow has parsed a DAG.

        Raises:
            AirflowApiError: If it has not in time; the message holds the import error if there is one.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if errors := self.request("GET", "importErrors")["import_errors"]:
                raise AirflowApiError(
                    "DAG import errors: "
                    + "; ".join(f"{e['filename']}: {last_line(e['stack_trace'])}" for e in errors)
                )
            response = self._send("GET", f"dags/{dag_id}")
            if response.status_code == httpx.codes.OK:
                dag: dict[str, Any] = response.json()
                return dag
            time.sleep(0.5)
        raise AirflowApiError(f"Airflow has not parsed {dag_id!r} within {timeout:.0f} s: see `mlops logs`.")

    def dags(self) -> list[dict[str, Any]]:
        """The DAGs that Airflow has parsed, paused ones included."""
        return list(self.request("GET", "dags", params={"limit": 500, "exclude_stale": True})["dags"])

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler start runs of a DAG."""
        self.request("PATCH", f"dags/{dag_id}", json={"is_paused": False})

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None) -> str:
        """Start a run by hand and return its id.

        The id is chosen here, so a request that got no answer is sent again without starting a second run.
        """
        run_id = f"manual__{datetime.now(UTC).isoformat()}_{secrets.token_hex(4)}"
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf or {}}
        try:
            self.request("POST", f"dags/{dag_id}/dagRuns", json=body)
        except UnansweredError:
            if self.run_state(dag_id, run_id) is None:
                self.request("POST", f"dags/{dag_id}/dagRuns", json=body)
        return run_id

    def backfill(self, dag_id: str, first: date, last: date, *, max_active_runs: int) -> int:
        """Start Airflow's own backfill of a date range, days that ran before included; return its id.

        Airflow allows one backfill a DAG: one that an interrupted run left behind is ended first.
        """
        self._end_backfills(dag_id)
        return self.create_backfill(
            self.backfill_body(dag_id, first, last, reprocess="completed", max_active_runs=max_active_runs)
        )

    def backfill_body(
        self, dag_id: str, first: date, last: date, *, reprocess: str, max_active_runs: int
    ) -> dict[str, Any]:
        """A request for the backfill of a range of days in the environment's time zone.

        Args:
            reprocess: Which days that have run are run again: ``none``, ``failed`` or ``completed``.
        """
        zone = ZoneInfo(self._settings.timezone)
        return {
            "dag_id": dag_id,
            "from_date": datetime(first.year, first.month, first.day, tzinfo=zone).isoformat(),
            "to_date": datetime(last.year, last.month, last.day, tzinfo=zone).isoformat(),
            "max_active_runs": max_active_runs,
            "reprocess_behavior": reprocess,
            "dag_run_conf": {},
        }

    def create_backfill(self, body: dict[str, Any]) -> int:
        """Start a backfill of a DAG that has no other one active; return its id.

        Airflow answers 503 where SQLite was locked, and leaves a backfill without runs behind, which is cancelled.

        Raises:
            AirflowApiError: If Airflow refuses it.
        """
        dag_id = body["dag_id"]
        for wait in (1, 2, 4, 8, None):
            response = self._send("POST", "backfills", json=body)
            if response.status_code == httpx.codes.SERVICE_UNAVAILABLE and wait is not None:
                for active in self.active_backfills(dag_id):
                    self.request("PUT", f"backfills/{active['id']}/cancel")
                time.sleep(wait)
                continue
            return int(self._checked(response, "POST", "backfills")["id"])
        raise AssertionError("the last try returns or raises")

    def active_backfills(self, dag_id: str) -> list[dict[str, Any]]:
        """The backfills of a DAG that have not ended."""
        found = self.request("GET", "backfills", params={"dag_id": dag_id, "limit": 200})["backfills"]
        return [one for one in found if one["completed_at"] is None]

    def wait_closed(self, dag_id: str, number: int) -> bool:
        """Wait until the scheduler, which looks every half minute, has closed a backfill whose runs have ended.

        Until then Airflow refuses another one of the DAG.

        Returns:
            Whether it has, within :data:`CLOSING_SECONDS`.
        """
        deadline = time.monotonic() + CLOSING_SECONDS
        while any(one["id"] == number for one in self.active_backfills(dag_id)):
            if time.monotonic() > deadline:
                return False
            time.sleep(1)
        return True

    def _end_backfills(self, dag_id: str, *, timeout: float = 300) -> None:
        """End what is left of the active backfills of a DAG, without cancelling one that has runs.

        Airflow pauses a backfill that it cancels, and never starts a run of a paused one again: clearing a day of
        it would leave that day queued for good. So runs that wait are failed, those that run are waited for, and
        the scheduler, which looks every half minute, closes the backfill. One that stays open has no runs.

        Raises:
            AirflowApiError: If runs do not end in time.
        """
        deadline = time.monotonic() + timeout
        idle_since = time.monotonic()
        while active := self.active_backfills(dag_id):
            unfinished = [
                run
                for one in active
                for run in self.runs(dag_id, logical_date_gte=one["from_date"], logical_date_lte=one["to_date"])
                if run["run_type"] == "backfill" and run["state"] not in FINISHED
            ]
            for run in unfinished:
                if run["state"] == "queued":
                    path = f"dags/{dag_id}/dagRuns/{quote(run['dag_run_id'], safe='')}"
                    self.request("PATCH", path, json={"state": "failed"})
            if unfinished:
                idle_since = time.monotonic()
            elif time.monotonic() > idle_since + CLOSING_SECONDS:
                for one in active:
                    self.request("PUT", f"backfills/{one['id']}/cancel")
            if time.monotonic() > deadline:
                raise AirflowApiError(
                    f"Another backfill of {dag_id!r} has not ended within {timeout:.0f} s: see it in Airflow's UI."
                )
            time.sleep(0.5)

    def runs(self, dag_id: str, **filters: Any) -> list[dict[str, Any]]:
        """List runs of a DAG."""
        answer = self.request("GET", f"dags/{dag_id}/dagRuns", params={"limit": 200, **filters})
        return list(answer["dag_runs"])

    def runs_of_days(self, dag_id: str, first: date, last: date) -> dict[date, dict[str, Any]]:
        """The run of each day, by logical date in the environment's time zone."""
        zone = ZoneInfo(self._settings.timezone)
        begin = datetime(first.year, first.month, first.day, tzinfo=zone)
        end = datetime(last.year, last.month, last.day, tzinfo=zone) + timedelta(days=1)
        found = self.runs(dag_id, logical_date_gte=begin.isoformat(), logical_date_lt=end.isoformat())
        return {datetime.fromisoformat(run["logical_date"]).astimezone(zone).date(): run for run in found}

    def ended_anew(
        self, dag_id: str, first: date, last: date, before: Mapping[str, Any]
    ) -> dict[date, dict[str, Any]]:
        """The runs of these days, where one that is to run again counts as queued until it has ended anew.

        Args:
            before: When each run, by its id, had ended before.
        """
        return {
            day: run if run["end_date"] != before.get(run["dag_run_id"], "") else {**run, "state": "queued"}
            for day, run in self.runs_of_days(dag_id, first, last).items()
        }

    def run_state(self, dag_id: str, run_id: str) -> str | None:
        """State of a run, or ``None`` if Airflow has no such run."""
        path = f"dags/{quote(dag_id, safe='')}/dagRuns/{quote(run_id, safe='')}"
        response = self._send("GET", path)
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        return str(self._checked(response, "GET", path)["state"])

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """List the task instances of a run."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        return list(self.request("GET", path, params={"limit": 200})["task_instances"])

    def follow(
        self, poll: Callable[[], list[dict[str, Any]]], *, timeout: float, expected: int
    ) -> Iterator[list[dict[str, Any]]]:
        """Yield the state of some runs until all of them have ended.

        Raises:
            AirflowApiError: If they have not ended in time.
        """
        deadline = time.monotonic() + timeout
        while True:
            runs = poll()
            yield runs
            if len(runs) >= expected and all(run["state"] in FINISHED for run in runs):
                return
            if time.monotonic() > deadline:
                states = {run["dag_run_id"]: run["state"] for run in runs}
                raise AirflowApiError(f"Runs have not ended within {timeout:.0f} s: {states}")
            time.sleep(1)

    def failure(self, dag_id: str, run_id: str) -> str:
        """Say which tasks of a run failed and what the last log lines say."""
        parts = []
        for task in self.tasks(dag_id, run_id):
            if task["state"] != "failed":
                continue
            path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task['task_id']}/logs/{task['try_number']}"
            log = self.request("GET", path, headers={"Accept": "application/json"})
            parts.append(f"{task['task_id']}: {_error_line(log.get('content', []))}")
        return "; ".join(parts) or "no task failed"


def _error_line(content: Any) -> str:
    events = [entry for entry in content if isinstance(entry, dict)]
    for entry in reversed(events):
        if details := entry.get("error_detail") or []:
            return f"{details[0].get('exc_type')}: {details[0].get('exc_value')}"
    errors = [entry["event"] for entry in events if entry.get("level") in {"error", "critical"}]
    return str(errors[-1]) if errors else "see its log"
