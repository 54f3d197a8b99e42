"""A real Airflow that follows a Git repository, a checkout to commit in, and what a team does with both."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import psutil
import yaml
from labs import ROOT, free_ports, own_environment, warm
from labs.databases import postgres
from labs.platform_lab import PREPARE, answers, end_tree
from labs.platform_lab import wait as wait_for

HERE = Path(__file__).resolve().parent
COMPONENTS = ("api-server", "scheduler", "dag-processor")
CHECKED = "zenml_airflow.bundles.git.CheckedGitDagBundle"
STOCK = "airflow.providers.git.bundles.git.GitDagBundle"
ENDED = {"success", "failed"}

DEPLOY = """
import json, sys
from zenml_mlops.environment.process import enter
from zenml_mlops.environment.stack_changes import apply_stack
from zenml_mlops.environment.stack_files import stack_id
settings = enter("local")
from zenml.client import Client
from zenml.utils import source_utils
from zenml_airflow.runtime.active_stack import active_stack
from zenml_airflow.deploy.deploy import deploy_pipeline
source_utils.set_custom_source_root(str(settings.project_root))
sys.path.append(str(settings.project_root))
from probe.pipeline import probe
list(apply_stack(settings))
with active_stack(stack_id(settings, scheduled=True)):
    manifest, _ = deploy_pipeline(probe, {}, settings=settings, packages=["probe"])
names = sorted(one.name for one in Client().list_snapshots(named_only=True, size=100).items)
print(json.dumps({"snapshot": manifest.snapshot_name, "dirty": manifest.code.dirty, "all": names}))
"""


def wait(what, condition):
    """Wait for longer than a machine that does much else should need."""
    return wait_for(what, condition, timeout=300)


class GitOpsLab:
    """The origin, a working clone, and the components of an Airflow that follows the branch main."""

    def __init__(self, root, database):
        self.root = root
        self.work, self.origin, self.state = root / "work", root / "origin.git", root / "state"
        self.processes = {}
        airflow, mlflow = free_ports(2)
        self.environment = {
            **own_environment(),
            "MLOPS_STATE_DIR": str(self.state),
            "MLOPS_AIRFLOW_PORT": str(airflow),
            "MLOPS_MLFLOW_PORT": str(mlflow),
            "MLOPS_AIRFLOW_DATABASE": database.replace("postgresql://", "postgresql+psycopg2://"),
        }
        self._make_repository()

    def _make_repository(self):
        shutil.copytree(HERE / "project", self.work, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "configs", self.work / "configs")
        self.edit("configs/local.yaml", 'manifests: "state:manifests"', "manifests: dags/manifests")
        stack = yaml.safe_load((ROOT / "stacks" / "local.yaml").read_text())
        del stack["components"]["experiment_tracker"]
        for parts in stack["stacks"].values():
            del parts["experiment_tracker"]
        (self.work / "stacks").mkdir()
        (self.work / "stacks" / "local.yaml").write_text(yaml.safe_dump(stack))
        (self.work / ".gitignore").write_text("__pycache__/\n")
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", self.origin], check=True)
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("remote", "add", "origin", str(self.origin))

    # -- what a team does in its checkout

    def git(self, *arguments):
        command = ["git", "-c", "user.name=team", "-c", "user.email=team@example.com", "-C", str(self.work)]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"git {arguments}: {done.stderr}"
        return done.stdout.strip()

    def edit(self, path, old, new):
        text = (self.work / path).read_text()
        assert old in text, f"{path} has no {old!r}"
        (self.work / path).write_text(text.replace(old, new))

    def commit(self, message):
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def push(self):
        self.git("push", "--quiet", "origin", "main")
        return self.git("rev-parse", "HEAD")

    def revert(self, *commits):
        self.git("revert", "--no-edit", *commits)
        return self.push()

    def deploy(self):
        """What ``mlops deploy`` does, for the probe; returns its snapshot and the names of all snapshots."""
        return json.loads(self.python(DEPLOY, MLOPS_PROJECT_ROOT=str(self.work))[-1])

    def release(self, version):
        """Commit another version of code and DAG file, deploy it, commit its manifest, push; return the commit."""
        before = version - 1
        self.edit("probe/version.py", f"VERSION = {before}", f"VERSION = {version}")
        self.edit("dags/probe_dag.py", f"VERSION = {before}", f"VERSION = {version}")
        code = self.commit(f"version {version}")
        deployed = self.deploy()
        manifest = self.commit(f"deploy version {version}")
        return code, manifest, deployed

    # -- processes

    def python(self, code, **variables):
        result = warm.run(["-c", code], cwd=self.root, env={**self.environment, **variables})
        assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
        return result.stdout.strip().splitlines()

    def start(self):
        made = json.loads(self.python(PREPARE, MLOPS_PROJECT_ROOT=str(self.work))[-1])
        # Each version of the bundle is its own project.
        del made["MLOPS_PROJECT_ROOT"]
        common = {"repo_url": str(self.origin), "tracking_ref": "main", "refresh_interval": 4}
        bundles = [
            {"name": "checked", "classpath": CHECKED, "kwargs": {**common, "subdir": "dags"}},
            {"name": "stock", "classpath": STOCK, "kwargs": {**common, "subdir": "stock_dags"}},
        ]
        self.environment |= {
            **made,
            "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(self.root / "bundles"),
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
            # A busy machine: a task that is not answered within five seconds, three times, would fail.
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
            "DISABLE_DATABASE_MIGRATION": "True",
        }
        (self.root / "logs").mkdir()
        for name in COMPONENTS:
            self.launch(name)
        port = self.environment["MLOPS_AIRFLOW_PORT"]
        wait("Airflow answers", lambda: answers(f"http://127.0.0.1:{port}/api/v2/monitor/health"))

    def launch(self, name):
        port = self.environment["MLOPS_AIRFLOW_PORT"]
        extra = {"api-server": ["--host", "127.0.0.1", "--port", port], "scheduler": ["--skip-serve-logs"]}
        with (self.root / "logs" / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "airflow", name, *extra.get(name, [])],
                env=self.environment,
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes[name] = psutil.Process(child.pid)

    def replace_dag_processor(self):
        """End the DAG processor, lose its disk, and start another one."""
        end_tree(self.processes.pop("dag-processor"))
        shutil.rmtree(self.root / "bundles" / "checked")
        self.launch("dag-processor")

    def stop(self):
        for process in reversed(self.processes.values()):
            end_tree(process)

    # -- what Airflow says

    def connect(self):
        from zenml_airflow.settings.project import load_settings
        from zenml_mlops.airflow_api.api import AirflowApi

        os.environ.update({k: v for k, v in self.environment.items() if k.startswith("MLOPS_")})
        self.api = AirflowApi(load_settings("local"))

    def dag(self, dag_id):
        return next(
            (d for d in self.api.request("GET", "dags", params={"limit": 50})["dags"] if d["dag_id"] == dag_id),
            None,
        )

    def bundle_version(self, dag_id="probe"):
        found = self.dag(dag_id)
        return found["bundle_version"] if found else None

    def wait_version(self, commit, dag_id="probe"):
        wait(f"Airflow has {dag_id} of {commit[:12]}", lambda: self.bundle_version(dag_id) == commit)

    def newest_version(self, dag_id="probe"):
        """Number of the newest version of a DAG, and the commit that it is of."""
        found = self.api.request("GET", f"dags/{dag_id}/dagVersions")["dag_versions"]
        newest = max(found, key=lambda one: one["version_number"])
        return newest["version_number"], newest["bundle_version"]

    def import_errors(self, bundle="checked"):
        found = self.api.request("GET", "importErrors")["import_errors"]
        return {one["filename"]: one["stack_trace"] for one in found if one["bundle_name"] == bundle}

    def wait_error(self, name, bundle="checked"):
        return wait(f"the import error {name}", lambda: self.import_errors(bundle).get(name))

    def beats(self, dag_id):
        """Ids of the runs that the schedule has made."""
        return {run["dag_run_id"] for run in self.api.runs(dag_id, order_by="-run_after")}

    def wait_beat(self, dag_id="beat"):
        """Let a DAG run on its schedule, and wait until a run has been made."""
        before = self.beats(dag_id)
        self.api.unpause(dag_id)
        wait(f"{dag_id} is scheduled", lambda: self.beats(dag_id) - before)
        self.pause(dag_id)

    def pause(self, dag_id):
        self.api.request("PATCH", f"dags/{dag_id}", json={"is_paused": True})

    # -- runs

    def start_run(self, dag_id="probe"):
        """Trigger a run, and wait until its first step runs."""
        run_id = self.api.trigger(dag_id)
        if dag_id == "probe":
            wait("the first step runs", lambda: self.said(run_id, "first"))
        return run_id

    def finish(self, run_id, dag_id="probe"):
        if dag_id == "probe":
            (self.state / "journal" / run_id / "go").touch()
        wait(f"{run_id} ends", lambda: self.api.run_state(dag_id, run_id) in ENDED)
        assert self.api.run_state(dag_id, run_id) == "success", self.api.failure(dag_id, run_id)

    def said(self, run_id, who):
        path = self.state / "journal" / run_id / f"{who}.json"
        text = path.read_text() if path.exists() else ""
        return json.loads(text) if text else None

    def run_version(self, run_id, dag_id="probe"):
        """The bundle version that Airflow runs the tasks of a run from."""
        return self.api.request("GET", f"dags/{dag_id}/dagRuns/{run_id}")["bundle_version"]


@contextmanager
def running_lab(root, suffix):
    with postgres(f"gitops_{suffix}") as database:
        lab = GitOpsLab(root, database)
        try:
            yield lab
        finally:
            lab.stop()
