"""Run a pipeline through Airflow's REST API: find its DAG, trigger it, follow the run to its end."""

from __future__ import annotations

import json
import time
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from zenml_airflow.manifest.manifest import pipeline_tag
from zenml_airflow.run_date import DATE_PARAM
from zenml_mlops.airflow_api.api import FINISHED, AirflowApi, AirflowApiError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import Console

POLL_SECONDS = 1.0


class RunEndedBadlyError(AirflowApiError):
    """The DAG run was followed to its end, and that was no success."""


def dag_of(api: AirflowApi, pipeline: str, named: str | None = None) -> dict[str, Any]:
    """The DAG that runs a pipeline, as Airflow describes it with its params.

    Args:
        named: Id of the DAG, where several run the pipeline.

    Raises:
        AirflowApiError: If none does, several do and none is named, or the DAG takes no run now.
    """
    found = api.request("GET", "dags", params={"tags": pipeline_tag(pipeline), "limit": 100})["dags"]
    ids = sorted(dag["dag_id"] for dag in found)
    if not ids:
        raise AirflowApiError(
            f"Airflow has no DAG that runs the pipeline {pipeline!r}: deploy it with `mlops deploy {pipeline}`, "
            "and look for import errors in Airflow's UI."
        )
    if named is not None and named not in ids:
        raise AirflowApiError(f"DAG {named!r} does not run the pipeline {pipeline!r}. These do: {ids}.")
    if named is None and len(ids) > 1:
        raise AirflowApiError(f"Several DAGs run the pipeline {pipeline!r}: name one with --dag. They are {ids}.")
    dag: dict[str, Any] = api.request("GET", f"dags/{quote(named or ids[0], safe='')}/details")
    if dag["is_paused"]:
        raise AirflowApiError(
            f"DAG {dag['dag_id']!r} is paused, and a new run would wait: unpause it in Airflow's UI, or with "
            f"`airflow dags unpause {dag['dag_id']}`."
        )
    return dag


def run_conf(dag: Mapping[str, Any], day: date | None, params: Mapping[str, str]) -> dict[str, Any]:
    """What a run of a DAG is triggered with: the day that it is for, and params of the types that it declares.

    Raises:
        ValueError: If the DAG knows no such param, or the value is not of its type.
    """
    declared: dict[str, Any] = dag.get("params") or {}
    if unknown := sorted(set(params) - set(declared) - {DATE_PARAM}):
        raise ValueError(
            f"DAG {dag['dag_id']!r} has no param {', '.join(map(repr, unknown))}. Known: {sorted(declared)}."
        )
    conf = {name: _typed(name, text, declared.get(name) or {}) for name, text in params.items()}
    if day is not None:
        if DATE_PARAM in params:
            raise ValueError(f"--date and the param {DATE_PARAM!r} are the same: give one of them.")
        conf[DATE_PARAM] = day.isoformat()
    return conf


def run_url(api: AirflowApi, dag_id: str, run_id: str) -> str:
    """Where people see a run."""
    return f"{api.base_url}/dags/{dag_id}/runs/{quote(run_id, safe='')}"


def follow_run(
    api: AirflowApi, dag_id: str, run_id: str, console: Console, *, timeout: float | None = None
) -> None:
    """Show how a run goes on until it has ended.

    Args:
        timeout: Seconds after which to give up; none by default.

    Raises:
        RunEndedBadlyError: If it failed; the message holds the tasks' last errors.
        AirflowApiError: If it has not ended in time, or was deleted meanwhile.
    """
    state = ""
    with progress_bar(console) as progress:
        bar = progress.add_task("starting", total=None)
        for state in _states(api, dag_id, run_id, timeout):  # noqa: B007 - the last one is the end
            tasks = api.tasks(dag_id, run_id)
            done = sum(item["state"] in {"success", "skipped"} for item in tasks)
            now = [item["task_id"].rsplit(".", 1)[-1] for item in tasks if item["state"] == "running"]
            progress.update(bar, total=len(tasks), completed=done, description=", ".join(now) or "scheduling")
    if state != "success":
        raise RunEndedBadlyError(f"{run_id} failed: {api.failure(dag_id, run_id)}")


def progress_bar(console: Console) -> Progress:
    """The bar that a run's progress is shown with."""
    return Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console
    )


def _states(api: AirflowApi, dag_id: str, run_id: str, timeout: float | None) -> Iterator[str]:
    deadline = time.monotonic() + timeout if timeout is not None else None
    while True:
        state = api.run_state(dag_id, run_id)
        if state is None:
            raise AirflowApiError(f"Airflow no longer has run {run_id!r} of {dag_id!r}: somebody deleted it.")
        yield state
        if state in FINISHED:
            return
        if deadline is not None and time.monotonic() > deadline:
            raise AirflowApiError(f"{run_id} has not ended within {timeout:.0f} s: it is {state}.")
        time.sleep(POLL_SECONDS)


def _typed(name: str, text: str, declared: Mapping[str, Any]) -> Any:
    kinds = (declared.get("schema") or {}).get("type", "string")
    kinds = [kinds] if isinstance(kinds, str) else list(kinds)
    if "string" in kinds:
        return text
    try:
        return json.loads(text)
    except ValueError:
        raise ValueError(f"Param {name!r} is of type {' or '.join(kinds)}, found {text!r}.") from None
