"""What `mlops status` shows: a function reads each section, and one that cannot be read says why."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from zenml_airflow.contracts.frozen import Frozen

if TYPE_CHECKING:
    from zenml_airflow.settings.project import Settings
    from zenml_mlops.airflow_api.api import AirflowApi

Row = Mapping[str, Any]


class StatusError(RuntimeError):
    """A section cannot be read. The message says why, and what to do."""


class Section(Frozen):
    """A part of the screen.

    Attributes:
        problem: Why nothing was found, in a sentence.
    """

    rows: tuple[dict[str, Any], ...] = ()
    problem: str | None = None


class Sources:
    """What the sections read from; Airflow is logged in to once, by the first that needs it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._airflow: AirflowApi | None = None
        self._refusal: str | None = None

    def airflow(self) -> AirflowApi:
        """The environment's Airflow.

        Raises:
            StatusError: If it does not answer or refuses the login.
        """
        from zenml_mlops.airflow_api.api import AirflowApi, AirflowApiError

        if self._airflow is None and self._refusal is None:
            try:
                self._airflow = AirflowApi(self.settings)
            except AirflowApiError as error:
                self._refusal = str(error)
        if self._airflow is None:
            raise StatusError(self._refusal)
        return self._airflow


def services(sources: Sources) -> Sequence[Row]:
    """The local services."""
    from zenml_mlops.local.services import status

    return [{"service": name, "state": state} for name, state in status(sources.settings).items()]


def environments(sources: Sources) -> Sequence[Row]:
    """What is deployed where, as the manifests in this checkout and state folder say."""
    from zenml_airflow.manifest.manifest import ManifestError, manifest_path, read_manifest
    from zenml_airflow.settings.project import environments as known
    from zenml_airflow.settings.project import load_settings
    from zenml_mlops.environment.deployments import pipelines as pipelines_of

    rows: list[Row] = []
    for name in known(sources.settings.project_root):
        settings, manifests = load_settings(name), []
        pipelines = pipelines_of(settings)
        for pipeline in pipelines:
            try:
                manifest = read_manifest(manifest_path(settings.manifests_dir, pipeline), pipeline)
            except ManifestError:
                continue
            # Environments may share a folder, which holds what was deployed last.
            manifests += [manifest] if manifest.environment == name else []
        commits = {(m.code.commit or "none")[:10] + (" + changes" if m.code.dirty else "") for m in manifests}
        rows.append(
            {
                "environment": name,
                "here": name == sources.settings.environment,
                "deployed": f"{len(manifests)} of {len(pipelines)}",
                "commit": ", ".join(sorted(commits)),
                "zenml": settings.airflow.connection or "local store",
            }
        )
    return rows


def dags(sources: Sources) -> Sequence[Row]:
    """Airflow's DAGs with their last run."""
    api = sources.airflow()
    rows: list[Row] = []
    for dag in sorted(api.dags(), key=lambda dag: str(dag["dag_id"])):
        last: dict[str, Any] = next(iter(api.runs(dag["dag_id"], limit=1, order_by="-run_after")), {})
        at = last.get("end_date") or last.get("start_date") or last.get("run_after")
        rows.append(
            {
                "dag": dag["dag_id"],
                "paused": dag["is_paused"],
                "last run": last.get("dag_run_id"),
                "state": last.get("state"),
                "at": at and datetime.fromisoformat(at).astimezone(UTC).strftime("%Y-%m-%d %H:%M"),
            }
        )
    return rows


def required_actions(sources: Sources) -> Sequence[Row]:
    """Required actions in Airflow."""
    open_ones = {"response_received": False, "state": ["deferred", "awaiting_input"], "limit": 100}
    found = sources.airflow().request("GET", "dags/~/dagRuns/~/hitlDetails", params=open_ones)["hitl_details"]
    return [
        {
            "subject": one["subject"],
            "dag": one["task_instance"]["dag_id"],
            "since": datetime.fromisoformat(one["created_at"]).astimezone(UTC).strftime("%Y-%m-%d %H:%M"),
        }
        for one in found
    ]


def models(sources: Sources) -> Sequence[Row]:
    """The models with the versions in their stages."""
    store = sources.settings.state_dir / "zenml"
    if not store.is_dir() and not os.environ.get("ZENML_STORE_URL"):
        raise StatusError("There is no ZenML store yet: create it with `mlops deploy`.")
    from zenml_mlops.promotion.overview import overview

    return overview()


def partitions(sources: Sources) -> Sequence[Row]:
    """The last partition that was due, which is yesterday's while the schedule lasts."""
    from zenml_airflow.run_date import due_days
    from zenml_airflow.settings.project import every_use_case

    rows: list[Row] = []
    for own in every_use_case(sources.settings):
        for section in own.airflow.models_page.partitions:
            days = due_days(own.schedule(section), ZoneInfo(own.timezone), datetime.now(UTC), 1)
            rows += [_partition(sources, own, own.deployed_name(section), day) for day in days]
    return rows


def _partition(sources: Sources, settings: Settings, pipeline: str, day: date) -> Row:
    from zenml_mlops.data.partitions import PartitionError, PartitionStore

    try:
        published: dict[str, Any] = PartitionStore(settings.resolve(settings.storage.predictions)).manifest(day)
    except PartitionError:
        published = {}
    return {
        "pipeline": pipeline,
        "day": str(day),
        "partition": "scored" if published else "none",
        "rows": published.get("rows"),
        "model version": published.get("model_version"),
        "run": _run_of(sources, pipeline, day),
    }


def _run_of(sources: Sources, pipeline: str, day: date) -> str:
    """State of the day's run, in as far as Airflow can be asked."""
    from zenml_airflow.manifest.manifest import pipeline_tag

    try:
        api = sources.airflow()
    except StatusError:
        return "not known"
    found = api.request("GET", "dags", params={"tags": pipeline_tag(pipeline), "limit": 100})["dags"]
    runs = [api.runs_of_days(dag["dag_id"], day, day).get(day) for dag in found]
    return ", ".join(str(run["state"]) for run in runs if run) or "none"


def alerts(sources: Sources) -> Sequence[Row]:
    """The alerts that are open on the last day that monitoring looked at."""
    from zenml_airflow.settings.project import every_use_case
    from zenml_mlops.data.partitions import PartitionStore
    from zenml_mlops.monitoring.findings import read_findings

    rows: list[Row] = []
    several = every_use_case(sources.settings)
    for own in several:
        store = PartitionStore(own.resolve(own.storage.monitoring))
        days = store.days()
        if not days:
            continue
        found = read_findings(store, days[-1])
        named = {"use case": own.use_case} if len(several) > 1 else {}
        still: list[tuple[str, str | None, str | None]] = [
            (alert.key, str(alert.opened), alert.evidence) for alert in found.alerts
        ]
        rows += [
            {**named, "day": str(found.day), "alert": key, "since": since, "found": evidence}
            for key, since, evidence in still or [("none", None, None)]
        ]
    if not rows:
        raise StatusError("No day has been evaluated yet: run `mlops run monitoring --date DAY`.")
    return rows


SECTIONS: Final[dict[str, Callable[[Sources], Sequence[Row]]]] = {
    "services": services,
    "environments": environments,
    "dags": dags,
    "required actions": required_actions,
    "models": models,
    "last partition": partitions,
    "alerts": alerts,
}
"""The sections by title, in their order on the screen. One more is a function here."""


def read_status(settings: Settings) -> dict[str, Section]:
    """Read every section; one that cannot be read says why and leaves the others alone."""
    sources = Sources(settings)
    found = {}
    for title, read in SECTIONS.items():
        try:
            found[title] = Section(rows=tuple(dict(row) for row in read(sources)))
        except StatusError as error:
            found[title] = Section(problem=str(error))
        except (RuntimeError, ValueError, OSError, KeyError) as error:
            found[title] = Section(problem=f"{type(error).__name__}: {error}")
    return found
