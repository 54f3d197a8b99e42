"""One real Airflow with a copy of the promotion DAG for each story, all played at the same time."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from labs import ROOT, own_environment, warm

HERE = Path(__file__).resolve().parent
DAG_FILE = ROOT / "dags" / "readmission_promotion.py"
CANDIDATE, PRODUCTION = "readmission_candidate", "readmission_production_model"
WAITING = 20
"""Sensors that wait for a candidate that never comes; five times the tasks that may run at once."""
ENDED = {"success", "failed"}

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
from challengers.pipeline import champion_challenger
list(apply_stack(settings))
with active_stack(stack_id(settings, scheduled=True)):
    deploy_pipeline(champion_challenger, {}, settings=settings, packages=["challengers"])
"""
SERVE = """
import sys
from zenml_mlops.environment.process import enter
from zenml_mlops.local import services
services.START_TIMEOUT_SECONDS = 900.0
settings = enter("local")
services.stop(settings, print) if sys.argv[1] == "stop" else services.start(settings, print)
"""
WAITING_DAG = """
from zenml_airflow.sensors.candidate import CandidateSensor
from airflow.sdk import DAG
with DAG("crowd", schedule=None, max_active_tasks=100, is_paused_upon_creation=False):
    for number in range({count}):
        CandidateSensor(task_id=f"wait_{{number}}", environment="local", model="nobody", stage="production")
"""


@dataclass
class Lab:
    root: Path
    ports: tuple
    database: str
    environment: dict = field(default_factory=dict)

    def __post_init__(self):
        project = self.root / "project"
        shutil.copytree(HERE / "project", project)
        shutil.copytree(ROOT / "configs", project / "configs")
        (project / "dags").mkdir()
        (project / "dags" / "crowd.py").write_text(WAITING_DAG.format(count=WAITING))
        stack = yaml.safe_load((ROOT / "stacks" / "local.yaml").read_text())
        # Nothing here is tracked; importing MLflow would take longer than the tasks.
        del stack["components"]["experiment_tracker"]
        for parts in stack["stacks"].values():
            del parts["experiment_tracker"]
        (project / "stacks").mkdir()
        (project / "stacks" / "local.yaml").write_text(yaml.safe_dump(stack))
        local = project / "configs" / "local.yaml"
        config = yaml.safe_load(local.read_text())
        config["airflow"] |= {
            "sensor_poke_seconds": 4,
            "retries": 0,
            "promotion": {
                "approval": {
                    "ask": "always",
                    "roles": {"model_owner": {"admin": "admin"}, "others": {"bob": "Bob"}},
                    "approvers": {"staging": "others", "production": "model_owner"},
                }
            },
        }
        # The files stay as they are; reading eleven of them every ten seconds would take a third of a core.
        config["services"] = {"parse_interval_seconds": 3600}
        local.write_text(yaml.safe_dump(config))
        self.environment = {
            **own_environment(),
            "MLOPS_PROJECT_ROOT": str(project),
            "MLOPS_DAGS_DIR": str(project / "dags"),
            "MLOPS_STATE_DIR": str(self.root / "state"),
            "MLOPS_AIRFLOW_PORT": str(self.ports[0]),
            "MLOPS_MLFLOW_PORT": str(self.ports[1]),
            "MLOPS_AIRFLOW_DATABASE": self.database,
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
        }
        self.dags = project / "dags"
        self.parallelism = 4

    def add_story(self, name, *, response_timeout=None):
        """A copy of the DAG file for a model of its own, both of that name."""
        text = DAG_FILE.read_text()
        for found, put in {
            'dag_id=f"{settings.use_case}_promotion"': f'dag_id="{name}"',
            'settings.pipelines["training"]["model_name"]': f'"{name}"',
        }.items():
            assert text.count(found) == 1, found
            text = text.replace(found, put)
        if response_timeout:
            found = 'task_id="approval", '
            assert text.count(found) == 1
            text = text.replace(found, f"{found}response_timeout=timedelta(seconds={response_timeout}), ")
        (self.dags / f"{name}.py").write_text(text)

    def _python(self, code, *arguments):
        result = warm.run(["-c", code, *arguments], cwd=ROOT, env=self.environment)
        assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]

    def start(self):
        self._python(DEPLOY)
        self.worker = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(HERE / "store_worker.py")],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer("ready")
        self._python(SERVE, "start")

    def connect(self, stories):
        from zenml_airflow.settings.project import load_settings
        from zenml_mlops.airflow_api.api import AirflowApi

        os.environ.update({name: value for name, value in self.environment.items() if name.startswith("MLOPS_")})
        self.api = AirflowApi(load_settings("local"))
        self.api._client.timeout = 600
        for dag_id in (*stories, "crowd"):
            self.api.wait_for_dag(dag_id, timeout=600)

    def stop(self):
        try:
            if getattr(self, "worker", None):
                self.worker.kill()
                self.worker.wait()
        finally:
            self._python(SERVE, "stop")

    def ask(self, *command):
        """Have the worker do something in ZenML, see `store_worker.py`."""
        self.worker.stdin.write(json.dumps(command) + "\n")
        self.worker.stdin.flush()
        return json.loads(self._answer("{"))["answer"]

    def _answer(self, start):
        while not (line := self.worker.stdout.readline()).startswith(start):
            assert self.worker.poll() is None, "the worker has died"
        return line

    # -- what an operator does

    def registered(self):
        """Training says that a version was registered; every story's DAG listens."""
        (asset,) = self.api.request("GET", "assets", params={"name_pattern": CANDIDATE})["assets"]
        self.api.request("POST", "assets/events", json={"asset_id": asset["id"], "extra": {}})

    def respond(self, story, run, option, reason=""):
        path = f"dags/{story}/dagRuns/{run}/taskInstances/approval/-1/hitlDetails"
        body = {"chosen_options": [option], "params_input": {"reason": reason}}
        return self.api.request("PATCH", path, json=body)

    def required_action(self, story, run):
        """The required action as the UI shows it."""
        return self.api.request("GET", f"dags/{story}/dagRuns/{run}/taskInstances/approval/-1/hitlDetails")

    # -- what Airflow's record says

    def runs(self, story):
        return [run["dag_run_id"] for run in self.api.runs(story, order_by="run_after")]

    def tasks(self, story, run):
        return {task["task_id"]: task["state"] for task in self.api.tasks(story, run)}

    def value(self, story, run, task, key="return_value"):
        path = f"dags/{story}/dagRuns/{run}/taskInstances/{task}/xcomEntries/{key}"
        return self.api.request("GET", path, params={"deserialize": False, "stringify": False})["value"]

    def events(self, asset):
        found = self.api.request("GET", "assets", params={"name_pattern": asset})["assets"]
        if not found:
            return []
        return self.api.request("GET", "assets/events", params={"asset_id": found[0]["id"]})["asset_events"]

    # -- waiting

    def wait(self, what, condition, timeout=600.0):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if found := condition():
                return found
            time.sleep(1)
        raise AssertionError(f"{what}: not within {timeout:.0f} s")

    def wait_asked(self, story, run=None):
        """Wait until the approval of a run waits for a person; return the run."""

        def asked():
            known = [run] if run else self.runs(story)
            return next((one for one in known if self.tasks(story, one).get("approval") == "deferred"), None)

        found = self.wait(f"{story} asks", asked)
        # A person reads first. If the answer comes within the same loop of the scheduler, that takes the end of
        # the task that asked for the end of the one that goes on, and marks it as failed.
        time.sleep(5)
        self.wait_for_scheduler()
        return found

    def wait_for_scheduler(self):
        """Wait until the scheduler has gone once through all it does, however long that takes.

        It says that it is alive at the end of such a loop: whatever lies between two of these was all of one.
        """

        def beat():
            health = self.api.request("GET", "monitor/health")["scheduler"]
            return health["latest_scheduler_heartbeat"]

        for _ in range(2):
            last = beat()
            self.wait("the scheduler goes on", lambda last=last: beat() != last)

    def wait_end(self, story, run=None):
        """Wait until a run has ended; return it and the states of its tasks."""

        def ended():
            known = [run] if run else self.runs(story)
            return next((one for one in known if self.api.run_state(story, one) in ENDED), None)

        found = self.wait(f"{story} ends", ended)
        return found, self.tasks(story, found)
