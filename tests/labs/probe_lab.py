"""One real Airflow with the probe under every combination, and what the suite does to it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil
import psycopg2
import yaml

from labs import ROOT, own_environment, warm
from labs.probe_rows import ALL_COMBINATIONS, PLAYED

HERE = Path(__file__).resolve().parent
ONLY = os.environ.get("CONFORMANCE_ONLY", "").split()
"""Combinations to play; all of them by default."""
if unknown := sorted(set(ONLY) - set(ALL_COMBINATIONS)):
    raise ValueError(f"CONFORMANCE_ONLY names {unknown}; known: {ALL_COMBINATIONS}.")
COMBINATIONS = [name for name in ALL_COMBINATIONS if not ONLY or name in ONLY]
TASK_OF = {
    "per_step": {name: name for name in ("extract", "transform", "side", "check", "load")},
    "grouped": {"extract": "extract", "transform": "extract", "side": "extract", "check": "check", "load": "load"},
    "pipeline": dict.fromkeys(("extract", "transform", "side", "check", "load"), "run"),
}
ENDED = {"success", "failed"}
OPEN = {"initializing", "provisioning", "running", "stopping", "retrying"}

DEPLOY = """
import sys
from zenml_mlops.environment.process import enter
from zenml_mlops.environment.stack_changes import apply_stack
from zenml_mlops.environment.stack_files import stack_id
settings = enter("local")
from zenml_airflow.runtime.active_stack import active_stack
from zenml_airflow.deploy.deploy import deploy_pipeline
from zenml.utils import source_utils
source_utils.set_custom_source_root(str(settings.project_root))
sys.path.append(str(settings.project_root))
from probe.pipeline import probe
list(apply_stack(settings))
with active_stack(stack_id(settings, scheduled=True)):
    manifest, _ = deploy_pipeline(probe, {}, settings=settings, packages=["probe"])
print(manifest.snapshot_id)
"""
SERVE = """
import sys
from zenml_mlops.environment.process import enter
from zenml_mlops.local import services
settings = enter("local")
services.stop(settings, print) if sys.argv[1] == "stop" else services.start(settings, print)
"""


def played(*rows):
    """The combinations that some rows are played with."""
    wanted = {name for row in rows for name in PLAYED[row]}
    return [name for name in COMBINATIONS if name in wanted]


def dag_of(combination):
    return f"probe_{combination}"


def task_of(combination, step):
    granularity = next(name for name in TASK_OF if combination.endswith(name))
    return f"probe.{TASK_OF[granularity][step]}"


@dataclass
class Lab:
    root: Path
    ports: tuple
    database: str
    environment: dict = field(default_factory=dict)
    version: int = 0
    asked: tuple = ()

    def __post_init__(self):
        project = self.root / "project"
        shutil.copytree(HERE / "probe_project", project)
        shutil.copytree(ROOT / "configs", project / "configs")
        stack = yaml.safe_load((ROOT / "stacks" / "local.yaml").read_text())
        # The probe tracks no experiment; importing MLflow would be half the work of each subprocess.
        del stack["components"]["experiment_tracker"]
        for parts in stack["stacks"].values():
            del parts["experiment_tracker"]
        (project / "stacks").mkdir()
        (project / "stacks" / "local.yaml").write_text(yaml.safe_dump(stack))
        local = project / "configs" / "local.yaml"
        config = yaml.safe_load(local.read_text())
        # Ten tasks that wait, of two scenarios, and room for those that they do not wait for.
        config["services"] = {"parallelism": 12}
        local.write_text(yaml.safe_dump(config))
        self.environment = {
            **own_environment(),
            "MLOPS_PROJECT_ROOT": str(project),
            "MLOPS_STATE_DIR": str(self.root / "state"),
            "MLOPS_AIRFLOW_PORT": str(self.ports[0]),
            "MLOPS_MLFLOW_PORT": str(self.ports[1]),
            "MLOPS_AIRFLOW_DATABASE": self.database,
            # Twelve tasks on two cores: one that is not answered within five seconds, three times, would fail.
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
            # A killed worker is noticed by its silence: minutes by default, seconds here.
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
        }
        self.project = project
        self.storage = self.root / "state"

    def python(self, code, *arguments):
        result = warm.run(["-c", code, *arguments], cwd=ROOT, env=self.environment)
        assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
        return result.stdout.strip().splitlines()

    def deploy(self):
        """Deploy another version of the probe; return the id of its snapshot."""
        self.version += 1
        (self.project / "probe" / "version.py").write_text(f"VERSION = {self.version}\n")
        return self.python(DEPLOY)[-1]

    def deploy_to(self, url, api_key):
        """Deploy the probe to a ZenML server; its manifest lies where the DAG file `planted.py` looks for it."""
        own = self.environment
        self.environment = {
            **own,
            "MLOPS_STATE_DIR": str(self.root / "remote"),
            "ZENML_STORE_URL": url,
            "ZENML_STORE_API_KEY": api_key,
            "DISABLE_CREDENTIALS_DISK_CACHING": "true",
        }
        try:
            self.python(DEPLOY)
        finally:
            self.environment = own
        shutil.copytree(self.root / "remote" / "manifests", self.project / "remote_manifests")

    def start(self):
        self.python(SERVE, "start")
        self.oracle = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(HERE / "oracle.py")],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        while self.oracle.stdout.readline().strip() != "ready":
            assert self.oracle.poll() is None

    def stop(self):
        if getattr(self, "metadata", None):
            self.metadata.close()
        if getattr(self, "oracle", None):
            # It only reads, and a busy machine may take long to end it.
            self.oracle.kill()
            self.oracle.wait()
        self.python(SERVE, "stop")

    def connect(self):
        from zenml_airflow.settings.project import load_settings
        from zenml_mlops.airflow_api.api import AirflowApi

        for name, value in self.environment.items():
            if name.startswith("MLOPS_"):
                os.environ[name] = value
        self.api = AirflowApi(load_settings("local"))
        self.metadata = psycopg2.connect(self.database.replace("postgresql+psycopg2://", "postgresql://"))
        self.metadata.autocommit = True
        for combination in COMBINATIONS:
            self.api.wait_for_dag(dag_of(combination), timeout=120)

    # -- what an operator does

    def trigger(self, combination, day):
        body = {"logical_date": f"{day}T00:00:00+00:00", "dag_run_id": f"day-{day}"}
        return self.api.request("POST", f"dags/{dag_of(combination)}/dagRuns", json=body)["dag_run_id"]

    def clear(self, combination, day, tasks=None):
        body = {"dry_run": False, "dag_run_id": f"day-{day}", "only_failed": False, "reset_dag_runs": True}
        if tasks:
            body |= {"task_ids": tasks, "include_downstream": True}
        self.api.request("POST", f"dags/{dag_of(combination)}/clearTaskInstances", json=body)

    def mark_failed(self, combination, day, task):
        path = f"dags/{dag_of(combination)}/dagRuns/day-{day}/taskInstances/{task}"
        self.api.request("PATCH", path, json={"new_state": "failed"})

    def pause(self, combination, paused):
        self.api.request("PATCH", f"dags/{dag_of(combination)}", json={"is_paused": paused})

    def reconcile(self):
        result = warm.run(["-m", "zenml_mlops.cli.app", "reconcile"], cwd=ROOT, env=self.environment)
        assert result.returncode == 0, result.stderr
        return result.stdout

    # -- what the probe is told

    def folder(self, combination, day):
        path = self.storage / dag_of(combination) / day
        path.mkdir(parents=True, exist_ok=True)
        return path

    def tell(self, combination, day, step, **orders):
        (self.folder(combination, day) / f"{step}.json").write_text(json.dumps(orders))

    def release(self, combination, day, step):
        (self.folder(combination, day) / f"{step}.go").touch()

    def die_before_reporting(self, combination, day, step):
        (self.folder(combination, day) / f"die-{task_of(combination, step)}").touch()

    # -- what the three records say

    def run_states(self, combination):
        return {run["dag_run_id"]: run["state"] for run in self.api.runs(dag_of(combination))}

    def unfinished(self, *days):
        """How many runs of some days have not ended; asked of the database, which costs the tasks nothing."""
        query = "SELECT count(*) FROM dag_run WHERE run_id = ANY(%s) AND state <> ALL(%s)"
        with self.metadata.cursor() as cursor:
            cursor.execute(query, ([f"day-{day}" for day in days], sorted(ENDED)))
            return cursor.fetchone()[0]

    def run(self, combination, day):
        self.asked = (combination, day)
        return self.api.request("GET", f"dags/{dag_of(combination)}/dagRuns/day-{day}")

    def tasks(self, combination, day):
        found = self.api.tasks(dag_of(combination), f"day-{day}")
        return {task["task_id"]: (task["state"], task["try_number"]) for task in found}

    def zenml_runs(self, combination, day=None):
        self.oracle.stdin.write(f"{dag_of(combination)}\n")
        self.oracle.stdin.flush()
        found = json.loads(self.oracle.stdout.readline())
        return [run for run in found if day is None or run["dag_run"] == f"day-{day}"]

    def journal(self, combination, day, step=None):
        path = self.folder(combination, day) / "journal.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [line for line in lines if step is None or line["step"] == step]

    def partition(self, combination, day):
        path = self.folder(combination, day) / "partition.json"
        return json.loads(path.read_text()) if path.exists() else None

    def leftovers(self, combination, day):
        return [path.name for path in self.folder(combination, day).glob("*.tmp")]

    def log(self, combination, day, task, number):
        path = f"dags/{dag_of(combination)}/dagRuns/day-{day}/taskInstances/{task}/logs/{number}"
        content = self.api.request("GET", path, headers={"Accept": "application/json"})["content"]
        return json.dumps(content)

    def account(self):
        """What Airflow and ZenML say of the run that was asked for last, for who reads a failed test."""
        combination, day = self.asked
        parts = [f"{combination} {day}: {self.zenml_runs(combination, day)}"]
        parts += [str(entry) for entry in self.journal(combination, day)]
        for task, (state, tries) in self.tasks(combination, day).items():
            if state not in {"success", "upstream_failed", None}:
                logs = [
                    f"try {number}: {self.log(combination, day, task, number)[-4000:]}"
                    for number in range(1, tries + 1)
                ]
                parts += [f"{task} {state}", *logs]
        return "\n".join(parts)

    # -- waiting and killing

    def wait(self, what, condition, timeout=300.0):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            found = condition()
            if found:
                return found
            time.sleep(0.5)
        raise AssertionError(f"{what}: not within {timeout:.0f} s")

    def wait_gone(self, what, pid, timeout=150.0):
        """Wait until a process has ended; one that only waits for its parent to ask has."""

        def gone():
            try:
                return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
            except psutil.NoSuchProcess:
                return True

        self.wait(f"{what} ends", gone, timeout)

    def wait_parsed(self, combinations):
        """Wait until the dag processor has read what lies there now."""
        now = datetime.now(UTC)

        def parsed(combination):
            said = self.api.request("GET", f"dags/{dag_of(combination)}")["last_parsed_time"]
            return datetime.fromisoformat(said) > now

        # The first time may be the end of a parse that was under way.
        for _ in range(2):
            self.wait("the DAG files are read", lambda: all(parsed(combination) for combination in combinations))
            now = datetime.now(UTC)

    def wait_step(self, combination, day, step, number=1):
        return self.wait(
            f"{combination} {day} reaches {step}",
            lambda: next((e for e in self.journal(combination, day, step) if e["number"] == number), None),
        )

    def task_process(self, entry, combination):
        """The process that Airflow forked for the task that wrote a journal entry."""
        process = psutil.Process(entry["pid"])
        return process.parent() if combination.startswith("subprocess") else process

    def kill(self, process):
        process.send_signal(signal.SIGKILL)
        psutil.wait_procs([process], timeout=10)

    def scheduler(self):
        """The scheduler that supervisord keeps running, or ``None`` while it starts another."""
        for process in psutil.process_iter():
            try:
                # What the scheduler forks looks like it until it takes a title of its own.
                supervised = "supervisor.supervisord" in " ".join(process.parent().cmdline())
                if not supervised or "airflow scheduler" not in " ".join(process.cmdline()):
                    continue
                if process.environ().get("MLOPS_SERVICE") == str(self.storage):
                    return process
            except (psutil.Error, OSError, AttributeError):
                continue
        return None
