"""Start and stop the local services: Airflow's four components and an MLflow server where the stack has a tracker.

All of them listen on loopback only.

supervisord keeps them running and ends each with its whole process group. Every process carries a marker
variable; what survives a crash of supervisord itself is found by it and stopped too.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from zenml_airflow.settings.project import PORT_ENVS, USE_CASE_ENV, Settings
from zenml_mlops.environment.process import HOST, airflow_environment, ensure_password
from zenml_mlops.environment.stack_files import stack_file
from zenml_mlops.local.airflow import import_pools, services_environment

MARKER_ENV = "MLOPS_SERVICE"
START_TIMEOUT_SECONDS = 300.0
STOP_TIMEOUT_SECONDS = 30.0


class ServiceError(RuntimeError):
    """A service cannot be started or has died."""


@dataclass(frozen=True)
class Service:
    """A process that supervisord runs."""

    name: str
    command: tuple[str, ...]


def services(settings: Settings) -> tuple[Service, ...]:
    """The services of a local environment; an MLflow server is among them if its stack tracks experiments."""
    python = sys.executable
    airflow = (python, "-m", "airflow")
    mlflow = settings.state_dir / "mlflow"
    port = settings.services
    tracking = (
        *(python, "-m", "mlflow", "server", "--host", HOST, "--port", str(port.mlflow_port)),
        *("--backend-store-uri", f"sqlite:///{mlflow / 'mlflow.db'}"),
        *("--default-artifact-root", (mlflow / "artifacts").as_uri(), "--workers", "1"),
    )
    return (
        Service("api-server", (*airflow, "api-server", "--host", HOST, "--port", str(port.airflow_port))),
        Service("scheduler", (*airflow, "scheduler", "--skip-serve-logs")),
        Service("dag-processor", (*airflow, "dag-processor")),
        Service("triggerer", (*airflow, "triggerer", "--skip-serve-logs")),
        *([Service("mlflow", tracking)] if _tracks(settings) else []),
    )


def _tracks(settings: Settings) -> bool:
    return bool(stack_file(settings).components.get("experiment_tracker"))


def health_urls(settings: Settings) -> dict[str, str]:
    """URLs that answer once a server is ready."""
    answers = {
        "api-server": f"http://{HOST}:{settings.services.airflow_port}/api/v2/monitor/health",
        "mlflow": f"http://{HOST}:{settings.services.mlflow_port}/health",
    }
    return {service.name: answers[service.name] for service in services(settings) if service.name in answers}


def logs_dir(settings: Settings) -> Path:
    """Folder of the services' log files, one file a service."""
    return settings.state_dir / "logs"


def running(settings: Settings) -> list[psutil.Process]:
    """Processes that belong to this state folder, supervisord included."""
    wanted = str(settings.state_dir)
    found = []
    for process in psutil.process_iter():
        try:
            # Airflow's API server overwrites its environment with its title; the folder it works in stays.
            titled = " ".join(_command(process)).startswith("airflow ")
            marked = process.environ().get(MARKER_ENV) == wanted or (titled and process.cwd() == wanted)
            zombie = process.status() == psutil.STATUS_ZOMBIE
        except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
            continue
        if marked and not zombie and process.pid != os.getpid():
            found.append(process)
    return found


def supervisor_alive(settings: Settings) -> bool:
    """Whether supervisord runs for this state folder."""
    return any(_is_supervisor(process) for process in running(settings))


def start(settings: Settings, progress: Callable[[str], None]) -> None:
    """Start every service and wait until each is healthy; stop all of them if one is not.

    Raises:
        ServiceError: If a port is taken, or a service does not become healthy in time.
        UnfitStackError: If the stack file asks for what local services are not.
    """
    # Whichever use case this command is about, the services are those of all.
    environment = {**os.environ, **services_environment(settings), USE_CASE_ENV: ""}
    if supervisor_alive(settings):
        progress("services are running already")
        _wait_healthy(settings, progress)
        return
    stop(settings, progress)
    check_ports(settings)
    try:
        prepare(settings, progress)
        for pool in import_pools(settings, environment):
            progress(f"pool {pool} is in Airflow")
        _launch(settings, environment)
        _wait_healthy(settings, progress)
    except BaseException:
        stop(settings, progress)
        raise


def check_ports(settings: Settings) -> None:
    """Check that the ports are free, unless the services hold them already.

    Raises:
        ServiceError: If another program holds one.
    """
    if supervisor_alive(settings):
        return
    names = {service.name for service in services(settings)}
    for name, variable in PORT_ENVS.items():
        if name == "mlflow_port" and "mlflow" not in names:
            continue
        port = getattr(settings.services, name)
        if not _free(port):
            raise ServiceError(
                f"Port {port} on {HOST} is taken by another program: stop that, or choose a free port with "
                f"{variable}=... or services.{name} in configs/{settings.environment}.yaml."
            )


def stop(settings: Settings, progress: Callable[[str], None]) -> int:
    """Stop everything that :func:`start` started; return how many processes there were."""
    processes = running(settings)
    if not processes:
        return 0
    for process in processes:
        if _is_supervisor(process):
            progress("stopping services")
            _signal(process, signal.SIGTERM)
            psutil.wait_procs([process], timeout=STOP_TIMEOUT_SECONDS)
    for step in (signal.SIGTERM, signal.SIGKILL):
        left = running(settings)
        if not left:
            break
        for process in left:
            _signal(process, step)
        psutil.wait_procs(left, timeout=STOP_TIMEOUT_SECONDS / 3)
    return len(processes)


def status(settings: Settings) -> dict[str, str]:
    """State of each service: ``healthy``, ``running``, ``starting`` or ``stopped``."""
    commands = [" ".join(_command(process)) for process in running(settings)]
    health = health_urls(settings)
    states = {}
    for service in services(settings):
        needle = " ".join(service.command[1:4])
        if service.name in health and commands and _answer(health[service.name]) is not None:
            states[service.name] = "healthy"
        elif not any(needle in command for command in commands) and not _titled(service.name, commands):
            states[service.name] = "stopped"
        else:
            states[service.name] = "starting" if service.name in health else "running"
    return states


def show_urls(settings: Settings, progress: Callable[[str], None]) -> None:
    """Print where the services answer and how to log in."""
    ports = settings.services
    progress(f"Airflow  http://{HOST}:{ports.airflow_port}   user admin, password: `make password`")
    if _tracks(settings):
        progress(f"MLflow   http://{HOST}:{ports.mlflow_port}")
    progress("Stop everything with `make down`.")


def _titled(name: str, commands: list[str]) -> bool:
    """Airflow renames its processes, to ``airflow scheduler`` or ``airflow api_server -- ...``."""
    titles = (f"airflow {name}", f"airflow {name.replace('-', '_')}")
    return any(title in command for command in commands for title in titles)


def prepare(settings: Settings, progress: Callable[[str], None]) -> None:
    """Write what every Airflow component imports, generate the admin's password, migrate Airflow's database.

    Raises:
        ServiceError: If the migration fails.
    """
    home = settings.state_dir / "airflow"
    local_settings = home / "config" / "airflow_local_settings.py"
    local_settings.parent.mkdir(parents=True, exist_ok=True)
    local_settings.write_text(
        '"""Imported by every Airflow component."""\n\n'
        "import sys\n\n"
        "from airflow.configuration import conf\n"
        "from zenml_mlops.local.sqlite_locking import hold_transactions_together\n"
        "from zenml_airflow.runtime.preload import preload_if_forking\n"
        "from zenml_airflow.runtime.stopping import end_workers_with_scheduler\n\n"
        "hold_transactions_together()\n"
        'executor = conf.get("core", "executor")\n'
        "preload_if_forking(sys.argv, executor=executor)\n"
        "end_workers_with_scheduler(sys.argv, executor=executor)\n",
        encoding="utf-8",
    )
    plugin = home / "plugins" / "local_sqlite.py"
    if settings.services.airflow_database is None:
        plugin.parent.mkdir(parents=True, exist_ok=True)
        plugin.write_text("from zenml_mlops.local.sqlite_plugin import SqlitePlugin\n", encoding="utf-8")
    else:
        plugin.unlink(missing_ok=True)
    ensure_password(settings)
    progress("migrating Airflow's database")
    _run("`airflow db migrate` failed", "airflow", "db", "migrate", env=airflow_environment(settings))


def _launch(settings: Settings, environment: Mapping[str, str]) -> None:
    folder = settings.state_dir / "run"
    logs = logs_dir(settings)
    folder.mkdir(parents=True, exist_ok=True)
    logs.mkdir(parents=True, exist_ok=True)
    config = folder / "supervisord.conf"
    config.write_text(_supervisor_config(settings, folder, logs), encoding="utf-8")
    told = {
        **environment,
        # The deployment before has migrated ZenML's database; a task need not check again.
        "DISABLE_DATABASE_MIGRATION": "True",
        MARKER_ENV: str(settings.state_dir),
    }
    # supervisord goes to the background by itself; its pid file is not needed, the marker finds it.
    module = "supervisor.supervisord"
    _run("supervisord did not start", module, "-c", str(config), env=told, cwd=settings.state_dir)


def _run(failed: str, *command: str, env: Mapping[str, str], cwd: Path | None = None) -> None:
    """Run a module of this Python, whose last line is the error if it fails."""
    python = [sys.executable, "-m", *command]
    result = subprocess.run(
        python, env={**os.environ, **env}, cwd=cwd, capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise ServiceError(f"{failed}: {last_line(result.stderr or result.stdout)}")


def _supervisor_config(settings: Settings, folder: Path, logs: Path) -> str:
    def escaped(text: str) -> str:
        return text.replace("%", "%%")

    sections = [
        "[supervisord]",
        f"pidfile={escaped(str(folder / 'supervisord.pid'))}",
        f"logfile={escaped(str(logs / 'supervisord.log'))}",
        f"childlogdir={escaped(str(logs))}",
        # `stop` runs as the user who started; a root user is meant.
        *(["user=root"] if os.geteuid() == 0 else []),
    ]
    for service in services(settings):
        quoted = " ".join(f'"{part}"' for part in service.command)
        sections += [
            f"[program:{service.name}]",
            f"command={escaped(quoted)}",
            f"stdout_logfile={escaped(str(logs / f'{service.name}.log'))}",
            "redirect_stderr=true",
            "stdout_logfile_maxbytes=20MB",
            "stdout_logfile_backups=2",
            "startsecs=2",
            "startretries=3",
            "stopwaitsecs=15",
            "stopasgroup=true",
            "killasgroup=true",
        ]
    return "\n".join(sections) + "\n"


def _wait_healthy(settings: Settings, progress: Callable[[str], None]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    waiting = health_urls(settings)
    while waiting:
        for name in [name for name, url in waiting.items() if _healthy(name, url)]:
            progress(f"{name} is ready")
            del waiting[name]
        if not waiting:
            return
        if not supervisor_alive(settings) or time.monotonic() > deadline:
            name = next(iter(waiting))
            raise ServiceError(
                f"{name} did not become ready: {_tail(logs_dir(settings) / f'{name}.log')} "
                f"(whole log: `mlops logs {name}`)"
            )
        time.sleep(0.5)


def _healthy(name: str, url: str) -> bool:
    response = _answer(url)
    if response is None or name != "api-server":
        return response is not None
    report = response.json()
    return all(
        report[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "dag_processor", "triggerer")
    )


def _answer(url: str) -> httpx.Response | None:
    """What a server answers, or ``None`` where it does not or not with success."""
    try:
        response = httpx.get(url, timeout=5)
    except httpx.HTTPError:
        return None
    return response if response.status_code == httpx.codes.OK else None


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _is_supervisor(process: psutil.Process) -> bool:
    return "supervisor.supervisord" in " ".join(_command(process))


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _tail(path: Path) -> str:
    try:
        return last_line(path.read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        return "it wrote no log"


def last_line(text: str) -> str:
    """The last line of a program's output that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
