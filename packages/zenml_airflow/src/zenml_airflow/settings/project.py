"""The settings of one environment, read once from ``configs/`` and passed down.

``configs/base.yaml`` holds what every environment shares, ``configs/<environment>.yaml`` is merged over it key by
key. This module imports neither Airflow nor ZenML: DAG files, the command line and tests all read the same object.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator

from zenml_airflow.context import resolve_location
from zenml_airflow.contracts.enums import Granularity, Launcher
from zenml_airflow.contracts.frozen import Deferred
from zenml_airflow.contracts.problems import describe
from zenml_airflow.manifest.launchers import LauncherOptions, parse_options
from zenml_airflow.settings.promotion import PromotionSettings

try:
    # What yaml.safe_load uses, in C: each parse of a DAG file reads the settings.
    from yaml import CSafeLoader as SafeLoader
except ImportError:
    from yaml import SafeLoader  # type: ignore[assignment]

USE_CASE_ENV = "MLOPS_USE_CASE"
"""Variable that names the use case of a process; that of ``configs/base.yaml`` by default."""

ENVIRONMENT_ENV = "MLOPS_ENV"
PROJECT_ROOT_ENV = "MLOPS_PROJECT_ROOT"
STATE_DIR_ENV = "MLOPS_STATE_DIR"
DAGS_DIR_ENV = "MLOPS_DAGS_DIR"
PORT_ENVS = {"airflow_port": "MLOPS_AIRFLOW_PORT", "mlflow_port": "MLOPS_MLFLOW_PORT"}
"""Variables that move a local service to another port without touching a file."""
SERVICE_ENVS = {**PORT_ENVS, "airflow_database": "MLOPS_AIRFLOW_DATABASE"}
DEFAULT_ENVIRONMENT = "local"
_SHARED = "base"
_USE_CASES = "use_cases"


class SettingsError(ValueError):
    """The configuration of an environment is missing or wrong."""


class StorageSettings(Deferred):
    """Locations: fsspec URLs, or paths below ``Settings.storage_root``.

    Attributes:
        root: What relative locations resolve against; the state folder by default.
        landing: Partitions to score.
        predictions: Scored partitions.
        quarantine: Rows that were refused.
        shadow: What a challenger made of the same partitions.
        outcomes: What became of the rows, by the day on which they were scored.
        monitoring: What monitoring found, by day.
        audit: The audit log: a file, or a folder in an object store; no log by default.
    """

    root: str | None = None
    landing: str = "landing/rows"
    predictions: str = "predictions"
    quarantine: str = "quarantine"
    shadow: str = "shadow"
    outcomes: str = "landing/outcomes"
    monitoring: str = "monitoring"
    audit: str | None = None


class ScheduleSettings(Deferred):
    """When a DAG runs.

    Attributes:
        cron: Five-field cron expression, evaluated in the environment's time zone.
        end_date: Last day that the schedule covers; ``None`` for an open end.
    """

    cron: str
    start_date: date
    end_date: date | None = None

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> ScheduleSettings:
        if self.end_date is not None and self.end_date < self.start_date:
            raise ValueError(f"end_date {self.end_date} lies before start_date {self.start_date}")
        return self


class ModelsPageSettings(Deferred):
    """What the page "Models" of Airflow's UI shows.

    Attributes:
        partitions: Pipelines whose DAG writes one partition a day; the page shows them with the model that their
            configuration names as ``model_name``.
        fresh_seconds: For how long it does not ask ZenML again.
        patience_seconds: How long it waits for ZenML before it shows what is known without it.
    """

    partitions: tuple[str, ...] = ()
    days: int = Field(default=30, gt=0, le=92)
    most_models: int = Field(default=25, gt=0, le=100)
    fresh_seconds: float = Field(default=10, ge=0)
    patience_seconds: float = Field(default=0.5, gt=0, le=5)


class AirflowSettings(Deferred):
    """The Airflow side of an environment.

    Attributes:
        launcher_options: Options by launcher; those of the launcher in use count.
        connection: Airflow connection of the ZenML server; ``None`` for the local store.
        mlflow_url: Address at which people open MLflow, for links; ``local`` for the service of ``mlops up``,
            ``None`` for the address that the experiment tracker itself uses.
        manifests: Folder of the manifests, relative to the project root or ``state:<path>`` for a path
            below the state folder.
        start_paused: Whether a DAG that Airflow sees for the first time is paused.
        retries: Retries of a task whose step names none.
        retry_delay_seconds: Wait before the first retry; doubles with each further one.
        timeout_seconds: Limit of one task's run time where its step names none.
        sensor_timeout_seconds: How long a run waits for its partition.
        sensor_poke_seconds: Interval at which the triggerer looks for the partition.
        image_lock_digest: sha256 of the dependency lock that the steps' image was built from, as its label says.
        sharded: Whether steps that can be cut into shards are, by dynamic task mapping.
        backfill_days: Days of one ``mlops backfill``, at most.
        preload: Import the heavy third-party libraries once in processes that fork tasks.
    """

    launcher: Launcher = Launcher.IN_PROCESS
    launcher_options: dict[Launcher, dict[str, Any]] = Field(default_factory=dict)
    granularity: Granularity = Granularity.PER_STEP
    connection: str | None = None
    mlflow_url: str | None = None
    manifests: str = "dags/manifests"
    start_paused: bool = True
    owner: str = "airflow"
    retries: int = Field(default=2, ge=0, le=10)
    retry_delay_seconds: int = Field(default=30, ge=0)
    timeout_seconds: int = Field(default=1800, gt=0)
    sensor_timeout_seconds: int = Field(default=43200, gt=0)
    sensor_poke_seconds: int = Field(default=30, gt=0)
    image_lock_digest: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    sharded: bool = False
    backfill_days: int = Field(default=92, gt=0, le=200)
    preload: bool = False
    promotion: PromotionSettings = Field(default_factory=PromotionSettings)
    models_page: ModelsPageSettings = Field(default_factory=ModelsPageSettings)
    schedules: dict[str, ScheduleSettings] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _pages_show_what_is_scheduled(self) -> AirflowSettings:
        if unknown := sorted(set(self.models_page.partitions) - set(self.schedules)):
            raise ValueError(
                f"models_page.partitions names {unknown}, which have no schedule, so none of their days "
                "can be missing"
            )
        return self

    @field_validator("launcher_options")
    @classmethod
    def _options_have_an_effect(cls, value: dict[Launcher, dict[str, Any]]) -> dict[Launcher, dict[str, Any]]:
        for launcher, options in value.items():
            parse_options(launcher, options)
        return value

    def options_of(self, launcher: Launcher, overrides: Mapping[str, Any] | None = None) -> LauncherOptions:
        """The options of a launcher in this environment, with a DAG file's own laid over them.

        Raises:
            LauncherError: If an option would have no effect or is wrong.
        """
        return parse_options(launcher, {**self.launcher_options.get(launcher, {}), **(overrides or {})})


class ServiceSettings(Deferred):
    """Loopback ports and sizes of the services that ``mlops up`` starts.

    Attributes:
        parse_interval_seconds: How long Airflow waits before it reads a DAG file again that has not changed: a
            pipeline that is deployed anew is seen within it.
        airflow_database: SQLAlchemy URL of Airflow's metadata database, from the variable
            ``MLOPS_AIRFLOW_DATABASE`` alone as it may hold a password; a SQLite file by default.
    """

    airflow_port: int = Field(default=8080, gt=0, lt=65536)
    mlflow_port: int = Field(default=5000, gt=0, lt=65536)
    parallelism: int = Field(default=4, gt=0)
    parse_interval_seconds: int = Field(default=10, gt=0)
    airflow_database: SecretStr | None = None


class MonitoringSettings(Deferred):
    """Where metrics go.

    Attributes:
        statsd: ``HOST:PORT`` of a StatsD server, for Airflow's own metrics and for those of steps.
        textfiles: Folder of OpenMetrics files of steps, as Prometheus's node exporter reads them; relative to the
            state folder.
    """

    statsd: str | None = Field(None, pattern=r"^[^:\s]+:\d{1,5}$")
    textfiles: str | None = None


class BundleSettings(Deferred):
    """Model versions on their way between servers.

    Attributes:
        location: Where ``mlops export`` writes them, if it is not told; relative to the storage root.
        allowed_signers: Who may sign what ``mlops import`` lets in: a file as ``ssh-keygen`` reads it, relative to
            the project root.
        models: Models that may be imported; those of the configured pipelines by default.
    """

    location: str = "bundles"
    allowed_signers: str = "configs/allowed_signers"
    models: tuple[str, ...] = ()
    most_bytes: int = Field(default=4 * 2**30, gt=0)


class DemoSettings(Deferred):
    """What ``mlops demo`` replays."""

    first_day: date
    days: int = Field(default=7, gt=0)
    max_active_runs: int = Field(default=4, gt=0)


class Settings(Deferred):
    """Everything an environment decides.

    Attributes:
        further: Whether the use case is another one than that of ``configs/base.yaml``.
        use_case: What the DAGs and their assets are named after: lower-case letters, digits, underscores.
        definition: ``module:attribute`` of the object that says what the use case is; a package above reads it.
        project_root: The checkout that holds ``configs/`` and ``dags/``.
        state_dir: Folder of everything that a local run writes.
        dags_dir: Folder of the DAG files that the local Airflow parses.
        data: The ``data`` section, typed by the package that owns it.
        pipelines: The configuration of each pipeline, typed by the package that owns it.
        serving: The service that scores single requests, typed by the package that owns it.
    """

    environment: str
    further: bool = False
    use_case: str = Field(pattern="^[a-z][a-z0-9_]{0,39}$")
    definition: str = Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    project_root: Path
    state_dir: Path
    dags_dir: Path
    timezone: str = "UTC"
    storage: StorageSettings = Field(default_factory=StorageSettings)
    airflow: AirflowSettings = Field(default_factory=AirflowSettings)
    services: ServiceSettings = Field(default_factory=ServiceSettings)
    monitoring: MonitoringSettings = Field(default_factory=MonitoringSettings)
    bundles: BundleSettings = Field(default_factory=BundleSettings)
    demo: DemoSettings
    data: dict[str, Any]
    pipelines: dict[str, dict[str, Any]]
    serving: dict[str, Any] = Field(default_factory=dict)

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{value!r} is not an IANA time zone, such as UTC or Europe/Berlin") from error
        return value

    @property
    def mlflow_url(self) -> str | None:
        """Address at which people open MLflow, where it is not the experiment tracker's own."""
        named = self.airflow.mlflow_url
        return f"http://127.0.0.1:{self.services.mlflow_port}" if named == "local" else named

    @property
    def storage_root(self) -> str:
        """Path or URL that relative storage locations resolve against."""
        return self.storage.root or str(self.state_dir)

    @property
    def manifests_dir(self) -> Path:
        """Folder that holds this environment's manifests."""
        if self.committed_manifests is None:
            return self.state_dir / self.airflow.manifests.removeprefix("state:")
        return self.project_root / self.committed_manifests

    @property
    def committed_manifests(self) -> str | None:
        """Folder of the manifests in the checkout, where they are committed; ``None`` where they are not."""
        return None if self.airflow.manifests.startswith("state:") else self.airflow.manifests

    def resolve(self, location: str) -> str:
        """Resolve a storage location: URLs and absolute paths stay, the rest is below the storage root."""
        return resolve_location(self.storage_root, location)

    def deployed_digest(self, pipeline: str) -> str:
        """Digest of everything here that a deployment writes into the snapshot or the manifest of a pipeline.

        A manifest holds it, so that a change of configuration that was not deployed is noticed.
        """
        deployed = {
            "timezone": self.timezone,
            "definition": self.definition,
            "storage": self.storage.model_dump(mode="json", exclude={"root", "audit"}),
            "airflow": self.airflow.model_dump(
                mode="json", include={"launcher", "retries", "retry_delay_seconds", "timeout_seconds"}
            ),
            "data": self.data,
            "pipeline": self.section(pipeline),
        }
        return hashlib.sha256(json.dumps(deployed, sort_keys=True, default=str).encode()).hexdigest()

    def section(self, pipeline: str) -> dict[str, Any]:
        """The configuration of a pipeline; one of a further use case is named ``<use case>_<section>``."""
        return self.pipelines.get(pipeline) or self.pipelines.get(pipeline.removeprefix(f"{self.use_case}_"), {})

    def deployed_name(self, section: str) -> str:
        """The name under which the pipeline of a section is deployed, see :meth:`section`."""
        return f"{self.use_case}_{section}" if self.further else section

    def schedule(self, pipeline: str) -> ScheduleSettings:
        """Return the schedule of a pipeline.

        Raises:
            SettingsError: If the environment schedules no such pipeline.
        """
        try:
            return self.airflow.schedules[pipeline]
        except KeyError:
            raise SettingsError(
                f"No schedule for {pipeline!r} in environment {self.environment!r}: add it under "
                f"airflow.schedules in configs/. Known: {sorted(self.airflow.schedules)}."
            ) from None


def project_root(dag_file: str | Path | None = None) -> Path:
    """Find the checkout: the environment variable, else the one that a DAG file or the working directory lies in.

    Args:
        dag_file: The DAG file that asks. In a Git bundle each version of it has its own ``configs/`` beside it.

    Raises:
        SettingsError: If there is none.
    """
    named = os.environ.get(PROJECT_ROOT_ENV)
    if named:
        root = Path(named).resolve()
    else:
        found = _checkout(Path(dag_file).resolve().parent) if dag_file else None
        root = found or _checkout(Path.cwd()) or Path.cwd()
    if not _is_checkout(root):
        raise SettingsError(
            f"No configs/base.yaml in {root}: run inside a checkout, or set {PROJECT_ROOT_ENV} to one. In a Git "
            "bundle a DAG file takes the one of its own version: `settings = dag_settings(__file__)`."
        )
    return root


def _is_checkout(folder: Path) -> bool:
    return (folder / "configs" / "base.yaml").is_file()


def _checkout(folder: Path) -> Path | None:
    """The checkout that a folder is or lies in."""
    return next((above for above in (folder, *folder.parents) if _is_checkout(above)), None)


def _state_dir(root: Path) -> Path:
    """Folder of everything that a local run writes.

    Raises:
        SettingsError: If it would lie in one version of a bundle, where the next version does not find it.
    """
    if named := os.environ.get(STATE_DIR_ENV):
        return Path(named).resolve()
    if not os.environ.get(PROJECT_ROOT_ENV) and root != _checkout(Path.cwd()):
        raise SettingsError(
            f"{root.name}/ is a checkout that Airflow made: set {STATE_DIR_ENV} to a folder that outlives it. "
            f"If it is yours, work inside it, or name it with {PROJECT_ROOT_ENV}."
        )
    return root / ".state"


def environments(root: Path) -> list[str]:
    """Names of the environments that a checkout describes."""
    return sorted(path.stem for path in (root / "configs").glob("*.yaml") if path.stem != _SHARED)


def settings_files(root: Path, environment: str) -> tuple[Path, Path]:
    """The file that every environment shares, and the environment's own, which is merged over it.

    Raises:
        SettingsError: If there is no such environment.
    """
    folder = root / "configs"
    known = environments(root)
    if environment not in known:
        raise SettingsError(
            f"No environment {environment!r}: configs/ has no {environment}.yaml that describes one. "
            f"Known: {known}."
        )
    return folder / f"{_SHARED}.yaml", folder / f"{environment}.yaml"


def further_use_cases(root: Path) -> list[str]:
    """Names of the use cases that a checkout has beside the one of ``configs/base.yaml``."""
    names = (path.stem for path in (root / "configs" / _USE_CASES).glob("*.yaml"))
    # What has a dot in it is what one environment changes.
    return sorted(name for name in names if "." not in name)


def every_use_case(settings: Settings) -> list[Settings]:
    """The settings of the environment for each use case of the checkout: those given, then those of the others."""
    names = further_use_cases(settings.project_root)
    known = [load_settings(settings.environment, use_case=name) for name in ("", *names)] if names else []
    return [settings, *(other for other in known if other.use_case != settings.use_case)]


def load_settings(
    environment: str | None = None, *, dag_file: str | Path | None = None, use_case: str | None = None
) -> Settings:
    """Read the settings of an environment.

    Args:
        environment: Name of the environment; by default the one that the process was started for.
        dag_file: The DAG file that asks, see :func:`project_root`. It is of the further use case whose name its
            own begins with, as ``loans_training.py`` is of ``loans``.
        use_case: Name of a further use case; empty for that of ``configs/base.yaml``. By default that of the DAG
            file, or the one that the process was started for.

    Raises:
        SettingsError: If a file is missing, is not YAML, or breaks the schema; all problems at once.
    """
    root = project_root(dag_file)
    name = environment or os.environ.get(ENVIRONMENT_ENV) or DEFAULT_ENVIRONMENT
    shared, path = settings_files(root, name)
    merged = _merge(_read_yaml(shared), _read_yaml(path))
    if use_case is None:
        own = str(merged.get("use_case"))
        use_case = _use_case_of(Path(dag_file), own, root) if dag_file else os.environ.get(USE_CASE_ENV, "")
    files = [f"configs/{file}.yaml" for file in (_SHARED, name)]
    further = bool(use_case) and use_case != merged.get("use_case")
    if use_case and further:
        merged = _of_use_case(merged, use_case, root, name)
        files.append(f"configs/{_USE_CASES}/{use_case}.yaml")
    named = {key: os.environ[variable] for key, variable in SERVICE_ENVS.items() if os.environ.get(variable)}
    merged = _merge(merged, {"services": named})
    dags = os.environ.get(DAGS_DIR_ENV)
    computed = {
        "environment": name,
        "further": further,
        "project_root": root,
        "state_dir": _state_dir(root),
        "dags_dir": Path(dags).resolve() if dags else root / "dags",
    }
    try:
        return Settings.model_validate({**merged, **computed})
    except ValidationError as error:
        raise SettingsError(f"{' with '.join(files)}: {describe(error, 'file')}") from error


def _use_case_of(dag_file: Path, own: str, root: Path) -> str:
    named = [name for name in (own, *further_use_cases(root)) if dag_file.name.startswith(f"{name}_")]
    return max(named, key=len, default="")


def _of_use_case(merged: dict[str, Any], use_case: str, root: Path, environment: str) -> dict[str, Any]:
    """The settings of a further use case: its own data, pipelines and storage, all else as the environment has it.

    Raises:
        SettingsError: If there is none of that name.
    """
    path = root / "configs" / _USE_CASES / f"{use_case}.yaml"
    if not path.is_file():
        raise SettingsError(
            f"No use case {use_case!r}; known: {[merged.get('use_case'), *further_use_cases(root)]}. Another "
            f"one is described by a file in configs/{_USE_CASES}/."
        )
    own = _read_yaml(path)
    if own.setdefault("use_case", use_case) != use_case:
        raise SettingsError(
            f"configs/{_USE_CASES}/{path.name} is of the use case {own['use_case']!r}: both need the same name."
        )
    changed = path.with_name(f"{use_case}.{environment}.yaml")
    if changed.is_file():
        own = _merge(own, _read_yaml(changed))
    # Nothing of another's limits or places may be taken over by leaving it out.
    for name in ("definition", "data", "pipelines"):
        merged.pop(name, None)
    storage = merged.get("storage", {})
    places = {name: f"{use_case}/{name}" for name in StorageSettings.model_fields if name not in ("root", "audit")}
    kept = {name: storage[name] for name in ("root", "audit") if name in storage}
    return _merge({**merged, "storage": {**kept, **places}}, own)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=SafeLoader)
    except yaml.YAMLError as error:
        raise SettingsError(f"{path.name} is not valid YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(f"{path.name} must hold a mapping, found {type(content).__name__}.")
    return content


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        known = merged.get(key)
        merged[key] = _merge(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return merged
