"""The process environment of a local run: every store and every service below the state folder."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from zenml_airflow.runtime.preload import PRELOAD_ENV, know_installed_packages
from zenml_airflow.settings.project import (
    ENVIRONMENT_ENV,
    PROJECT_ROOT_ENV,
    STATE_DIR_ENV,
    Settings,
    every_use_case,
    load_settings,
)
from zenml_mlops.audit.log import AUDIT_LOG_ENV
from zenml_mlops.data.use_case import UnknownPipelineError, load_use_case
from zenml_mlops.hooks.events import METRICS_DIR_ENV, STATSD_ENV

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse
    from zenml.pipelines.pipeline_definition import Pipeline

    from zenml_airflow.contracts.provenance import Provenance
    from zenml_mlops.data.use_case import PipelineSpec
    from zenml_mlops.stacks.load import LoadedStack
    from zenml_mlops.stacks.schema import StackFile

HOST = "127.0.0.1"
"""The only address that a local service listens on."""

CODE_PACKAGES = ("zenml_pipelines", "governance")
"""Packages that travel with a snapshot: the project's. The platform is installed where the steps run."""

BUNDLE_PACKAGES = (*CODE_PACKAGES, "zenml_mlops")
"""Packages whose types travel in a bundle, as data that is checked: nothing of them is in it."""


def zenml_environment(settings: Settings) -> dict[str, str]:
    """Variables that keep ZenML, MLflow and fsspec below the state folder."""
    state = settings.state_dir
    audit, textfiles = settings.storage.audit, settings.monitoring.textfiles
    return {
        AUDIT_LOG_ENV: settings.resolve(audit) if audit else "",
        STATSD_ENV: settings.monitoring.statsd or "",
        METRICS_DIR_ENV: str(state / textfiles) if textfiles else "",
        ENVIRONMENT_ENV: settings.environment,
        PROJECT_ROOT_ENV: str(settings.project_root),
        STATE_DIR_ENV: str(state),
        "ZENML_CONFIG_PATH": str(state / "zenml"),
        "ZENML_LOCAL_STORES_PATH": str(state / "zenml" / "local_stores"),
        "ZENML_ANALYTICS_OPT_IN": "false",
        "ZENML_ENABLE_REPO_INIT_WARNINGS": "false",
        "ZENML_LOGGING_VERBOSITY": "WARN",
        "ZENML_ENABLE_RICH_TRACEBACK": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # Seven more processes, for evaluations that nobody starts here.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "DO_NOT_TRACK": "true",
        "GIT_PYTHON_REFRESH": "quiet",
        # Several steps run side by side on few cores; one BLAS thread each is faster than all fighting for them.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def airflow_environment(settings: Settings) -> dict[str, str]:
    """Variables of the Airflow processes: loopback only, one folder for everything.

    Services that stay take executor, queue and bundle from the stack file, see :mod:`zenml_mlops.local.airflow`.
    """
    from zenml_mlops.stacks.export import bundle_list
    from zenml_mlops.stacks.schema import LocalBundle

    home = settings.state_dir / "airflow"
    port = settings.services.airflow_port
    url = f"http://{HOST}:{port}"
    database = settings.services.airflow_database
    if database is not None:
        store = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.get_secret_value()}
    else:
        store = {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS": "zenml_mlops.local.sqlite_locking.CONNECT_ARGS",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS_ASYNC": "zenml_mlops.local.sqlite_locking.CONNECT_ARGS",
        }
    return {
        **zenml_environment(settings),
        **store,
        **_airflow_metrics(settings),
        PRELOAD_ENV: "1" if settings.airflow.preload else "0",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__CORE__AUTH_MANAGER": (
            "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
        ),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(password_file(settings)),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": str(settings.services.parallelism),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": bundle_list(
            LocalBundle(kind="local"), str(settings.dags_dir)
        ),
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": str(settings.services.parse_interval_seconds),
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "30",
        "AIRFLOW__TRACES__OTEL_ON": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "FORWARDED_ALLOW_IPS": HOST,
        "PYTHONUNBUFFERED": "1",
    }


def _airflow_metrics(settings: Settings) -> dict[str, str]:
    """Variables that have Airflow send its own metrics, of DAGs and of its components, to the StatsD server."""
    if settings.monitoring.statsd is None:
        return {}
    host, _, port = settings.monitoring.statsd.rpartition(":")
    return {
        "AIRFLOW__METRICS__STATSD_ON": "True",
        "AIRFLOW__METRICS__STATSD_HOST": host,
        "AIRFLOW__METRICS__STATSD_PORT": port,
    }


def password_file(settings: Settings) -> Path:
    """File in which Airflow keeps the generated password of the local ``admin`` user."""
    return settings.state_dir / "airflow" / "passwords.json"


def ensure_password(settings: Settings) -> None:
    """Generate the local admin's password, readable by the user alone.

    Airflow would generate one too, but into a file that everyone may read, and into its log.
    """
    path = password_file(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(json.dumps({"admin": secrets.token_urlsafe(12)}) + "\n")


def admin_password(settings: Settings) -> str | None:
    """The generated password, once Airflow has started for the first time."""
    try:
        content: Any = json.loads(password_file(settings).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return str(content.get("admin")) if isinstance(content, dict) else None


def enter(environment: str | None) -> Settings:
    """Read the settings and point this process's ZenML, MLflow and Airflow at the state folder.

    Must run before ZenML or Airflow is imported: both read their variables on import.
    """
    settings = load_settings(environment)
    # Patient data and a password lie below it.
    settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.environ.update(airflow_environment(settings))
    return settings


def apply_stack(settings: Settings, loaded: LoadedStack | None = None) -> list[str]:
    """Bring the ZenML store in line with the environment's stack file; return the changes made.

    Nothing is deleted: that is for ``mlops stack apply --prune``.

    Args:
        settings: Settings of the environment.
        loaded: The stack file, if it was read and checked before.
    """
    from zenml_mlops.environment.stack_changes import apply_and_record

    loaded = loaded or checked_stack(settings)
    prepare_stores(settings, loaded.file)
    return [str(change) for change in apply_and_record(loaded)]


def prepare_stores(settings: Settings, file: StackFile) -> None:
    """Create what a local stack needs below the state folder before ZenML and MLflow use it."""
    (settings.state_dir / "artifacts").mkdir(parents=True, exist_ok=True)
    for tracker in file.components.get("experiment_tracker", {}).values():
        uri = str(tracker.config.get("tracking_uri", ""))
        if uri.startswith("sqlite:"):
            _create_experiments(settings, uri)


def stack_path(settings: Settings) -> Path:
    """The environment's stack file."""
    return settings.project_root / "stacks" / f"{settings.environment}.yaml"


def stack_variables(settings: Settings) -> dict[str, str]:
    """What ``${…}`` stands for in a stack file."""
    return {"state_dir": str(settings.state_dir)}


def checked_stack(settings: Settings) -> LoadedStack:
    """The environment's stack file, found good by ZenML's own flavors.

    Raises:
        StackFileError: If anything is wrong with it.
    """
    from zenml_mlops.stacks.load import check_stack_file

    return check_stack_file(stack_path(settings), stack_variables(settings))


def stack_file(settings: Settings) -> StackFile:
    """The environment's stack file, read against its schema alone."""
    from zenml_mlops.stacks.load import read_stack_file

    return read_stack_file(stack_path(settings), stack_variables(settings)).file


def _create_experiments(settings: Settings, uri: str) -> None:
    """Create each pipeline's experiment in a local MLflow store, so that its files lie below the state folder.

    ZenML names the experiment after the pipeline; MLflow would create it with a relative artifact folder. A
    tracking server knows where its artifacts go.
    """
    from mlflow.tracking import MlflowClient

    folder = settings.state_dir / "mlflow"
    folder.mkdir(parents=True, exist_ok=True)
    client = MlflowClient(tracking_uri=uri)
    for pipeline in pipelines(settings):
        if client.get_experiment_by_name(pipeline) is None:
            client.create_experiment(pipeline, artifact_location=(folder / "artifacts" / pipeline).as_uri())


def stack_id(settings: Settings, *, scheduled: bool, file: StackFile | None = None) -> UUID:
    """Id of the environment's stack: the one that Airflow runs, or the one without Airflow.

    Args:
        settings: Settings of the environment.
        scheduled: Which of the two.
        file: The stack file, if it was read before.

    Raises:
        ValueError: If nothing runs without Airflow in this environment.
    """
    from zenml.client import Client

    file = file or stack_file(settings)
    name = file.scheduled if scheduled else file.inline
    if name is None:
        raise ValueError(
            f"Environment {settings.environment!r} runs nothing without Airflow: its stack file names no "
            "inline stack. Deploy with `mlops deploy` and trigger the DAG, or run it in another environment."
        )
    return Client().get_stack(name, allow_name_prefix_match=False).id


@dataclass(frozen=True)
class DeploymentContext:
    """What every deployment of an environment asks of Git and of the stack file, asked once.

    Attributes:
        settings: Settings of the environment.
        stack: The stack file.
        made: What is deployed is made from.
    """

    settings: Settings
    stack: StackFile
    made: Provenance


def deployment_context(settings: Settings, stack: StackFile | None = None) -> DeploymentContext:
    """Ask Git and, unless it was read before, the stack file."""
    from zenml_airflow.deploy.deploy import provenance

    return DeploymentContext(settings, stack or stack_file(settings), provenance(settings))


def load_pipeline(context: DeploymentContext, spec: PipelineSpec) -> Pipeline:
    """A pipeline with the environment's defaults below its own settings."""
    from zenml.config import ResourceSettings
    from zenml.config.constants import RESOURCE_SETTINGS_KEY

    know_installed_packages()
    pipeline = spec.load()
    defaults = context.stack.settings.resources
    if not defaults:
        return pipeline
    own = pipeline.configuration.settings.get(RESOURCE_SETTINGS_KEY)
    asked = {**defaults, **(own.model_dump(exclude_unset=True) if own else {})}
    return pipeline.with_options(settings={RESOURCE_SETTINGS_KEY: ResourceSettings.model_validate(asked)})


def pipeline_arguments(context: DeploymentContext, spec: PipelineSpec) -> dict[str, Any]:
    """The arguments that a pipeline is compiled or run with."""
    return {"config": spec.config_class.from_settings(context.settings.model_dump()), "provenance": context.made}


def pipelines(settings: Settings) -> dict[str, tuple[Settings, PipelineSpec]]:
    """The pipelines of the environment's use cases by name, each with the settings of its own.

    Raises:
        ValueError: If two have the same name: ZenML and the manifests know a pipeline by it.
    """
    found: dict[str, tuple[Settings, PipelineSpec]] = {}
    for own in every_use_case(settings):
        for spec in load_use_case(own.definition).pipelines:
            if spec.name in found:
                raise ValueError(
                    f"Two use cases have a pipeline {spec.name!r}, {found[spec.name][0].use_case!r} and "
                    f"{own.use_case!r}: name one {own.use_case}_{spec.name}."
                )
            found[spec.name] = (own, spec)
    return found


def find_pipeline(known: Mapping[str, tuple[Settings, PipelineSpec]], name: str) -> tuple[Settings, PipelineSpec]:
    """A pipeline by name.

    Raises:
        UnknownPipelineError: If there is none; the message lists the known ones.
    """
    try:
        return known[name]
    except KeyError:
        raise UnknownPipelineError(f"No pipeline {name!r}. Known: {sorted(known)}.") from None


def deploy_all(settings: Settings, progress: Callable[[str], None], names: list[str] | None = None) -> None:
    """Apply the environment's stacks, then compile the named pipelines, or all of them.

    Raises:
        StackDriftError: If somebody changed the environment's stacks by hand, and that is not to be.
        PolicyViolationError: If an enforced policy refuses one of them; none is deployed then.
    """
    from zenml_airflow.deploy.deploy import deploy_pipeline
    from zenml_airflow.manifest.manifest import PolicyVerdict
    from zenml_airflow.runtime.active_stack import active_stack
    from zenml_mlops.audit import Outcome, record
    from zenml_mlops.environment.policies import decide, deployment_extra, judge_deployment
    from zenml_mlops.environment.stack_changes import check_before_deployment

    known = pipelines(settings)
    chosen = [find_pipeline(known, name) for name in names] if names else list(known.values())
    loaded = check_before_deployment(settings, progress)
    for change in apply_stack(settings, loaded):
        progress(f"stack: {change}")
    context = deployment_context(settings, loaded.file)
    with active_stack(stack_id(settings, scheduled=True, file=loaded.file)):
        # All of them before the first: a refused pipeline must not leave the others half deployed.
        judged = [
            (found, spec, judge_deployment(found, spec))
            for found, spec in ((replace(context, settings=own), spec) for own, spec in chosen)
        ]
        for found, spec, assessment in judged:
            for verdict in assessment.warnings:
                progress(f"policy {verdict.policy} ({verdict.mode}, {verdict.subject}): {verdict.message}")
            decide("deploy", found, spec, assessment)
        for _, spec, assessment in judged:
            assessment.enforce(f"Deploying {spec.name!r} to {settings.environment!r}")
        for found, spec, assessment in judged:
            manifest, path = deploy_pipeline(
                load_pipeline(found, spec),
                pipeline_arguments(found, spec),
                settings=found.settings,
                packages=CODE_PACKAGES,
                made=context.made,
                policies=tuple(
                    PolicyVerdict(policy=v.policy, mode=v.mode.value, passed=v.passed, message=v.message)
                    for v in assessment.verdicts
                ),
                extra=deployment_extra(found, spec.name),
            )
            record(
                "deploy",
                f"pipeline:{spec.name}",
                Outcome.DONE,
                links={
                    "environment": settings.environment,
                    "snapshot": str(manifest.snapshot_id),
                    "commit": manifest.code.commit,
                },
            )
            progress(
                f"deployed {spec.name} to {settings.environment}: snapshot {manifest.snapshot_name}, "
                f"{len(manifest.steps)} steps, manifest {path.name}"
            )


def run_inline(settings: Settings, name: str, day: date | None, params: dict[str, Any]) -> PipelineRunResponse:
    """Run a pipeline in this process and return the ZenML run.

    Args:
        settings: Settings of the environment.
        name: Name of the pipeline.
        day: Day that the run is for; today in the environment's time zone by default.
        params: Run parameters.

    Raises:
        Exception: Whatever a step raises.
    """
    from zenml.client import Client
    from zenml.enums import ExecutionMode
    from zenml.utils import source_utils

    from zenml_airflow.context import cli_context, run_context
    from zenml_airflow.runtime.active_stack import active_stack
    from zenml_airflow.runtime.records import context_tags, record_context
    from zenml_mlops.environment.policies import decide, judge_deployment

    settings, spec = find_pipeline(pipelines(settings), name)
    source_utils.set_custom_source_root(str(settings.project_root))
    told = cli_context(
        day or datetime.now(ZoneInfo(settings.timezone)).date(),
        environment=settings.environment,
        storage_root=settings.storage_root,
        timezone=settings.timezone,
        params=params,
    )
    loaded = checked_stack(settings)
    apply_stack(settings, loaded)
    context = deployment_context(settings, loaded.file)
    arguments = pipeline_arguments(context, spec)
    # The steps run in this process, whatever Airflow's tasks would run in.
    arguments["provenance"] = context.made.model_copy(update={"image": None})
    with run_context(told), active_stack(stack_id(settings, scheduled=False, file=loaded.file)):
        decide("run", context, spec, judge_deployment(context, spec)).enforce(
            f"Running {name!r} in {settings.environment!r}"
        )
        pipeline = load_pipeline(context, spec).with_options(
            run_name=f"{name}/{told.dag_run_id}", execution_mode=ExecutionMode.FAIL_FAST
        )
        pipeline.configure(tags=[*context_tags(told)])
        finished = pipeline(**arguments)
        if finished is None:
            raise RuntimeError(f"ZenML started no run of {name!r}.")
        record_context(finished.id, told)
        return Client().get_pipeline_run(finished.id)
