"""The process environment of a local run: every store and every service below the state folder."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

from zenml_airflow.runtime.preload import PRELOAD_ENV
from zenml_airflow.settings.project import (
    ENVIRONMENT_ENV,
    PROJECT_ROOT_ENV,
    STATE_DIR_ENV,
    Settings,
    load_settings,
)
from zenml_mlops.audit.log import AUDIT_LOG_ENV
from zenml_mlops.hooks.events import METRICS_DIR_ENV, STATSD_ENV

HOST = "127.0.0.1"
"""The only address that a local service listens on."""


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
        # On a busy machine the end of a task's process is known that much later, 5 s by default. An answer to a
        # required action that comes before is lost, and asked for again (apache/airflow#72716).
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
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
