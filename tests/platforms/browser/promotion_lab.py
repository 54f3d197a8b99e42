"""A checkout with small data and three models of known order, and its Airflow."""

import shutil
import subprocess
import time
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import yaml
from labs import ROOT
from labs.checkout import make_checkout

MODEL = "readmission_risk"
TRAINING, PROMOTION, SCORING = "readmission_training", "readmission_promotion", "readmission_batch_inference"
DAYS = (date(2026, 1, 5), date(2026, 1, 6), date(2026, 1, 7), date(2026, 1, 8))
"""Days that have landed."""
LAST = DAYS[-1] + timedelta(days=1)
"""Last day of the schedule, of which nothing has landed: a run of it waits."""
PARTS = ("configs", "dags", "stacks", "zenml_pipelines", "governance")
FEW_TREES = {"max_iter": 3}
STUMP = {"max_iter": 1, "max_leaf_nodes": 2}
"""One split of one tree, which surely ranks worse; logistic regression surely ranks better than a few trees."""
BETTER = "logistic_regression"
ENDED = {"success", "failed"}


def rewrite(path, change):
    content = yaml.safe_load(path.read_text()) or {}
    change(content)
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def _quick(config):
    """The shipped configuration with fewer resamples and refits, and open gates: what follows them is tested."""
    training = config["pipelines"]["training"]
    training["estimators"]["hist_gradient_boosting"] |= FEW_TREES
    training["bootstrap"]["resamples"] = 60
    training["examination"]["stability"] = {"folds": 2, "rows": 1000}
    training["examination"]["latency"] = {"single_rows": 2, "batches": 2, "batch_rows": 100}
    training["data_gates"] = {"open": {"metric": "rows", "judge": "value", "minimum": 1, "why": "Any data."}}
    training["gates"] = {"open": {"metric": "roc_auc", "judge": "value", "minimum": 0.0, "why": "Any model."}}


def _asking(config):
    airflow = config["airflow"]
    airflow |= {"granularity": "grouped", "sensor_poke_seconds": 2, "start_paused": True}
    # Nothing is deployed after the start.
    config["services"] = {"parse_interval_seconds": 600}
    # Otherwise the page of models shows the last 30 days of the shipped schedule, none of which the lab has.
    airflow["schedules"]["batch_inference"]["end_date"] = LAST
    airflow["promotion"] = {"approval": {"ask": "always", "timeout_seconds": 1800}}


def _untracked(stack):
    """Without MLflow, whose autologging takes longer than the training of a small model."""
    del stack["components"]["experiment_tracker"]
    for parts in stack["stacks"].values():
        parts.pop("experiment_tracker", None)


class PromotionLab:
    """The state folder, driven by the command line and Airflow's API."""

    def __init__(self, root):
        self.project = root / "project"
        for part in PARTS:
            shutil.copytree(ROOT / part, self.project / part, ignore=shutil.ignore_patterns("__pycache__"))
        rewrite(self.project / "configs" / "base.yaml", _quick)
        rewrite(self.project / "configs" / "local.yaml", _asking)
        rewrite(self.project / "stacks" / "local.yaml", _untracked)
        self.commit("the first model")
        self.checkout = make_checkout(root / "state")
        self.checkout.environment["MLOPS_PROJECT_ROOT"] = str(self.project)
        # The browser and a training keep two cores busy; a task gives up on Airflow's API after 5 s by default.
        self.checkout.environment["AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT"] = "60"
        self.mlops = self.checkout.mlops

    def commit(self, message):
        git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.com"]
        for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", message]):
            subprocess.run([*git, *command], cwd=self.project, check=True)

    def prepare(self):
        """Land the days, bring a first version into production, and deploy what trains worse ones."""
        self.mlops("data", "fetch", "--source", "synthetic", "--rows", 12_000, "--seed", 7)
        self.mlops("data", "feed", "--from", DAYS[0], "--to", DAYS[-1])
        self.mlops("run", "training")
        self.mlops("promote", MODEL, "--reason", "The first version.")
        rewrite(
            self.project / "configs" / "base.yaml",
            lambda config: config["pipelines"]["training"]["estimators"]["hist_gradient_boosting"].update(STUMP),
        )
        self.commit("another model")
        self.mlops("deploy")
        self.mlops("up")

    def connect(self, monkeypatch):
        """Speak to Airflow's API."""
        from zenml_airflow.settings.project import load_settings
        from zenml_mlops.airflow_api.api import AirflowApi
        from zenml_mlops.environment.process import admin_password

        for name, value in self.checkout.environment.items():
            if name.startswith("MLOPS_"):
                monkeypatch.setenv(name, value)
        self.settings = load_settings("local")
        self.api = AirflowApi(self.settings)
        self.password = admin_password(self.settings)
        for dag in (TRAINING, PROMOTION, SCORING):
            self.api.wait_for_dag(dag, timeout=180)
            self.api.unpause(dag)

    def train(self, **conf):
        """Train through Airflow; return the promotion run that this started."""
        before = {run["dag_run_id"] for run in self.api.runs(PROMOTION)}
        run = self.api.trigger(TRAINING, conf)
        self.wait(TRAINING, run)

        def started():
            return next((r["dag_run_id"] for r in self.api.runs(PROMOTION) if r["dag_run_id"] not in before), None)

        return self.until("a promotion run", started)

    def score(self, day):
        """Have Airflow run a day; return the run."""
        body = {"dag_run_id": f"day-{day}", "logical_date": f"{day}T00:00:00+00:00"}
        run = self.api.request("POST", f"dags/{SCORING}/dagRuns", json=body)["dag_run_id"]
        self.wait(SCORING, run)
        return run

    def wait(self, dag, run):
        """Wait until a run has ended well."""

        def ended():
            found = self.api.request("GET", f"dags/{dag}/dagRuns/{run}")
            return found if found["state"] in ENDED else None

        found = self.until(f"the end of {run}", ended, state=lambda: self.states(dag, run))
        assert found["state"] == "success", f"{run}: {self.api.failure(dag, run)}"

    def until(self, what, find, timeout=420, state=lambda: ""):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if (found := find()) is not None:
                return found
            time.sleep(1)
        raise AssertionError(f"{what} did not come within {timeout} s {state()}")

    def open_approvals(self, run):
        found = self.api.request("GET", f"dags/{PROMOTION}/dagRuns/{run}/hitlDetails")["hitl_details"]
        return [one for one in found if not one["response_received"]]

    def states(self, dag, run):
        return {task["task_id"]: task["state"] for task in self.api.tasks(dag, run)}

    def returned(self, dag, run, task):
        path = f"dags/{dag}/dagRuns/{run}/taskInstances/{task}/xcomEntries/return_value"
        return self.api.request("GET", path, params={"deserialize": True})["value"]

    def scored_by(self, day):
        from zenml_mlops.data.partitions import PartitionStore

        predictions = self.settings.resolve(self.settings.storage.predictions)
        return PartitionStore(predictions).manifest(day)["model_version"]

    def production(self):
        import json

        rows = json.loads(self.mlops("models", "list", "--json").stdout)
        return next(row["production"] for row in rows if row["model"] == MODEL)


@contextmanager
def running_lab(root):
    lab = PromotionLab(Path(root))
    try:
        lab.prepare()
        yield lab
    finally:
        lab.mlops("down")
