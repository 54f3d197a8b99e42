"""Every service of a deployment, without containers: started here, on loopback, each with a store of its own.

Airflow with the CeleryExecutor on Redis and PostgreSQL and two workers, a ZenML server on MariaDB, an MLflow
server on PostgreSQL, and an S3-compatible endpoint that holds artifacts, partitions and the audit log.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path

import httpx
import psutil
import psycopg2
import pymysql
import redis
import s3fs
import yaml

from labs import ROOT, free_ports, own_environment, warm
from labs.databases import MissingServiceError, postgres
from labs.zenml_server import running_server

BUCKET = "platform"
FIRST, LAST = date(2026, 1, 5), date(2026, 1, 10)
CONNECTION = "zenml_server"
TRAINING, INFERENCE = "readmission_training", "readmission_batch_inference"
SHARDED = "readmission_sharded"
WORKERS = ("worker-1", "worker-2")
REDIS = "redis://127.0.0.1:6379/6"
ENDED = {"success", "failed"}
COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")

OVERRIDES = {
    "airflow": {
        "connection": CONNECTION,
        "granularity": "grouped",
        "manifests": "state:manifests",
        "start_paused": False,
        "retry_delay_seconds": 5,
        "sensor_poke_seconds": 5,
        "preload": True,
        # Past the last replayed day nothing is scheduled.
        "schedules": {"training": {"end_date": "2026-03-31"}, "batch_inference": {"end_date": "2026-03-31"}},
    },
    # Nothing is deployed after the start.
    "services": {"parse_interval_seconds": 600},
    "storage": {"root": f"s3://{BUCKET}/state"},
    # What is judged here is the way of a run, not the model.
    "pipelines": {
        "training": {
            "bootstrap": {"resamples": 20},
            "estimators": {"hist_gradient_boosting": {"max_iter": 60}},
            "examination": {"stability": {"folds": 2, "rows": 4000}},
        },
        # A day of a hundred rows becomes four shards where it is sharded.
        "batch_inference": {"shards": {"rows": 30, "most": 4}},
    },
}

PREPARE = """
import json
from zenml_mlops.environment.process import airflow_environment, enter
from zenml_mlops.local.services import prepare
settings = enter("local")
prepare(settings, lambda line: None)
print(json.dumps(airflow_environment(settings)))
"""


def wait(what, condition, timeout=120.0):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(1)
    raise AssertionError(f"{what}: not within {timeout:.0f} s")


def answers(url):
    try:
        return httpx.get(url, timeout=5).status_code < httpx.codes.INTERNAL_SERVER_ERROR
    except httpx.HTTPError:
        return False


def end_tree(process, number=signal.SIGKILL):
    """Send a process and all that it started a signal, and wait until none is left."""
    try:
        tree = [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return
    for one in tree:
        try:
            one.send_signal(number)
        except psutil.NoSuchProcess:
            continue
    _, left = psutil.wait_procs(tree, timeout=15)
    for one in left:
        one.kill()


class Platform:
    """The running services, and what an operator does to them."""

    def __init__(self, root, stack, suffix):
        self.root, self.suffix = root, suffix
        self.logs = root / "logs"
        self.logs.mkdir()
        self.processes = {}
        stack.callback(self.stop)
        self.airflow_database = stack.enter_context(postgres(f"services_airflow_{suffix}"))
        self.mlflow_database = stack.enter_context(postgres(f"services_mlflow_{suffix}"))
        self.s3_port, self.mlflow_port, self.airflow_port = free_ports(3)
        self.aws = {
            "AWS_ACCESS_KEY_ID": f"access{suffix}",
            "AWS_SECRET_ACCESS_KEY": f"secret{suffix}",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.s3_port}",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self.environment = {
            **own_environment("AWS_"),
            **self.aws,
            "MLOPS_PROJECT_ROOT": str(root / "project"),
            "MLOPS_STATE_DIR": str(root / "state"),
            "MLOPS_AIRFLOW_PORT": str(self.airflow_port),
            "MLOPS_MLFLOW_PORT": str(self.mlflow_port),
            "MLOPS_AIRFLOW_DATABASE": self.airflow_database.replace("postgresql://", "postgresql+psycopg2://"),
        }
        self._write_project()
        python = sys.executable
        moto = Path(python).with_name("moto_server")
        self.launch("s3", [str(moto), "-H", "127.0.0.1", "-p", str(self.s3_port)])
        self.launch(
            "mlflow",
            [
                *(python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.mlflow_port)),
                *("--backend-store-uri", self.mlflow_database, "--workers", "1"),
                *("--default-artifact-root", f"s3://{BUCKET}/mlflow"),
            ],
            MLFLOW_DISABLE_TELEMETRY="true",
            MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
        )
        self.zenml = stack.enter_context(running_server(made(root / "zenml-server"), mariadb(stack, suffix)))
        wait("the S3 endpoint answers", lambda: answers(self.aws["AWS_ENDPOINT_URL"]))
        self.s3 = s3fs.S3FileSystem(
            key=self.aws["AWS_ACCESS_KEY_ID"],
            secret=self.aws["AWS_SECRET_ACCESS_KEY"],
            endpoint_url=self.aws["AWS_ENDPOINT_URL"],
            use_listings_cache=False,
        )
        self.s3.mkdir(BUCKET)
        wait("MLflow answers", lambda: answers(f"http://127.0.0.1:{self.mlflow_port}/health"))

    def _write_project(self):
        """A checkout of its own: the same code, an environment and a stack whose services are those above."""
        project = self.root / "project"
        for name in ("configs", "dags", "governance", "zenml_pipelines"):
            shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "uv.lock", project)
        shutil.copy(Path(__file__).with_name("readmission_sharded.py"), project / "dags")
        (project / "configs" / "local.yaml").write_text(yaml.safe_dump(OVERRIDES))
        (project / "stacks").mkdir()
        (project / "stacks" / "local.yaml").write_text(
            Path(__file__)
            .with_name("stack.yaml")
            .read_text()
            .replace("@BUCKET@", BUCKET)
            .replace("@S3@", self.aws["AWS_ENDPOINT_URL"])
            .replace("@MLFLOW@", f"http://127.0.0.1:{self.mlflow_port}")
        )

    # -- processes

    def launch(self, name, command, **variables):
        with (self.logs / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                command,
                env={**self.environment, **variables},
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes[name] = psutil.Process(child.pid)

    def start_airflow(self):
        self.environment |= json.loads(self.python(PREPARE).splitlines()[-1])
        home = Path(self.environment["AIRFLOW_HOME"])
        # A task's record names the worker that ran it.
        (home / "config" / "worker_name.py").write_text(
            "import os\n\n\ndef name():\n    return os.environ.get('WORKER_NAME', '127.0.0.1')\n"
        )
        self.environment |= {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": "worker_name.name",
            "PYTHONPATH": os.pathsep.join((str(home / "config"), os.environ["PYTHONPATH"])),
            "AIRFLOW__CELERY__BROKER_URL": REDIS,
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{self.airflow_database}",
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": "2",
            "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__GLOBAL_KEYPREFIX": f"services-{self.suffix}-",
            "DISABLE_DATABASE_MIGRATION": "True",
            # A killed worker is noticed by the silence of its tasks, and what it had fetched is queued again.
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "20",
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
        }
        port = self.environment["MLOPS_AIRFLOW_PORT"]
        extra = {"api-server": ["--host", "127.0.0.1", "--port", port]}
        for name in COMPONENTS:
            skip = ["--skip-serve-logs"] if name in {"scheduler", "triggerer"} else []
            self.launch(name, [sys.executable, "-m", "airflow", name, *extra.get(name, skip)])
        for name in WORKERS:
            self.start_worker(name)
        health = f"http://127.0.0.1:{port}/api/v2/monitor/health"
        wait("Airflow answers", lambda: answers(health))

    def start_worker(self, name):
        command = [sys.executable, "-m", "airflow", "celery", "worker", "--skip-serve-logs"]
        self.launch(name, [*command, "--celery-hostname", f"{name}-{self.suffix}@%h"], WORKER_NAME=name)

    def kill_worker(self, name):
        """End a worker, its pool and its tasks with SIGKILL, as a lost machine does."""
        end_tree(self.processes.pop(name))

    def stop(self):
        for process in reversed(self.processes.values()):
            end_tree(process, signal.SIGTERM)

    def python(self, code, **variables):
        return self._run(["-c", code], variables)

    def mlops(self, *arguments):
        """The command line of one who may write to the ZenML server."""
        return self._run(["-m", "zenml_mlops.cli.app", *map(str, arguments)], self.operator_variables())

    def operator_variables(self):
        return {
            "ZENML_STORE_URL": self.zenml.url,
            "ZENML_STORE_API_KEY": self.zenml.api_key,
            "DISABLE_CREDENTIALS_DISK_CACHING": "true",
            # The MLflow server of this suite asks nobody who they are; ZenML wants a login for any that is remote.
            "MLFLOW_TRACKING_USERNAME": "nobody",
            "MLFLOW_TRACKING_PASSWORD": "nothing",
        }

    def _run(self, command, variables):
        result = warm.run(command, cwd=ROOT, env={**self.environment, **variables})
        assert result.returncode == 0, f"{command}: {result.stdout[-3000:]}\n{result.stderr[-3000:]}"
        return result.stdout

    # -- what an operator does

    def connect(self):
        from zenml_airflow.settings.project import load_settings
        from zenml_mlops.airflow_api.api import AirflowApi

        os.environ.update({k: v for k, v in self.environment.items() if k.startswith(("MLOPS_", "AWS_"))})
        self.settings = load_settings("local")
        self.api = AirflowApi(self.settings)
        self.api.request(
            "POST",
            "connections",
            json={
                "connection_id": CONNECTION,
                "conn_type": "zenml",
                "host": self.zenml.url,
                "password": self.zenml.api_key,
            },
        )
        for dag_id in (TRAINING, INFERENCE, SHARDED):
            self.api.wait_for_dag(dag_id, timeout=120)
            self.api.unpause(dag_id)

    def start_backfill(self, first, last, active=4):
        """Begin a backfill; return a function that says which days' runs of it have what state."""
        before = {run["dag_run_id"]: run["end_date"] for run in self.api.runs(INFERENCE)}
        self.api.backfill(INFERENCE, first, last, max_active_runs=active)

        def states():
            runs = self.api.runs_of_days(INFERENCE, first, last)
            return {
                day: run["state"] if run["end_date"] != before.get(run["dag_run_id"], "") else "queued"
                for day, run in runs.items()
            }

        return states

    def tasks(self, dag_id=INFERENCE):
        """The scoring tasks of all runs of a DAG, as Airflow's database has them."""
        query = (
            "SELECT run_id, state, hostname, task_id, map_index, try_number FROM task_instance "
            "WHERE dag_id = %s AND task_id LIKE 'batch_inference.%%'"
        )
        with psycopg2.connect(self.airflow_database) as connection, connection.cursor() as cursor:
            cursor.execute(query, (dag_id,))
            return cursor.fetchall()

    def finish_run(self, dag_id, run_id, timeout=180):
        wait(f"{dag_id} ends", lambda: self.api.run_state(dag_id, run_id) in ENDED, timeout)
        assert self.api.run_state(dag_id, run_id) == "success", self.api.failure(dag_id, run_id)

    def zenml_runs(self, dag_id):
        """The ZenML runs of a DAG, as the server has them."""
        found = self.zenml.admin.get("runs", params={"size": 500, "hydrate": True, "sort_by": "created"})
        runs = found.raise_for_status().json()["items"]
        return [run for run in runs if run["metadata"]["run_metadata"].get("dag_id") == dag_id]


def made(folder):
    folder.mkdir()
    return folder


def mariadb(stack, suffix):
    """URL of a database of its own and a user who sees no other."""
    try:
        connection = pymysql.connect(host="127.0.0.1", user="root")
    except pymysql.err.OperationalError as error:
        raise MissingServiceError(f"MariaDB on its standard port: {error}") from error
    name, password = f"services_zenml_{suffix}", uuid.uuid4().hex
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        stack.callback(_drop, name)
        cursor.execute(f"CREATE USER '{name}'@'127.0.0.1' IDENTIFIED BY '{password}'")
        cursor.execute(f"GRANT ALL ON {name}.* TO '{name}'@'127.0.0.1'")
    connection.close()
    return f"mysql://{name}:{password}@127.0.0.1:3306/{name}"


def _drop(name):
    with pymysql.connect(host="127.0.0.1", user="root") as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")
        cursor.execute(f"DROP USER IF EXISTS '{name}'@'127.0.0.1'")


@contextmanager
def broker(suffix):
    client = redis.Redis.from_url(REDIS)
    try:
        client.ping()
    except redis.ConnectionError as error:
        raise MissingServiceError(f"Redis on its standard port: {error}") from error
    yield
    for key in client.scan_iter(f"services-{suffix}-*"):
        client.delete(key)
    client.close()


@contextmanager
def running_platform(root):
    suffix = uuid.uuid4().hex[:10]
    with ExitStack() as stack:
        stack.enter_context(broker(suffix))
        yield Platform(root, stack, suffix)
