"""The program that runs steps where Airflow is not: parts of a pipeline, a stop, and a start without a request."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import date

import pytest
from labs import stores, warm
from labs.probe_lab import HERE, Lab

from zenml_airflow.context import CONTEXT_ENV, cli_context
from zenml_airflow.runtime.entrypoint import REQUEST_ENV, STOPPED_EXIT_CODE
from zenml_airflow.runtime.runner import StepsRequest

ENTRYPOINT = ["-m", "zenml_airflow.runtime.entrypoint"]
ALL_STEPS = ("extract", "transform", "side", "check", "load")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The probe pipeline, deployed to a ZenML store of its own; no Airflow runs."""
    made = Lab(tmp_path_factory.mktemp("entrypoint"), (0, 0), "")
    stores.give_zenml(made.storage / "zenml")
    made.environment = {name: value for name, value in made.environment.items() if value not in {"0", ""}}
    made.deploy()
    # As the services have it that start such processes.
    made.environment["DISABLE_DATABASE_MIGRATION"] = "true"
    return made


class Steps:
    """Runs steps of the probe for one day, as a launcher would."""

    def __init__(self, lab, day):
        self.lab, self.day = lab, day
        manifest = json.loads((lab.storage / "manifests" / "probe.json").read_text())
        self.snapshot, self.digest = manifest["snapshot_id"], manifest["code"]["digest"]
        context = cli_context(date.fromisoformat(day), environment="local", storage_root=str(lab.storage))
        self.context = context.model_copy(update={"dag_id": "probe", "dag_run_id": f"day-{day}"})

    def cleared(self):
        """The same day in the attempt after this one."""
        again = Steps(self.lab, self.day)
        again.context = self.context.model_copy(update={"attempt": self.context.attempt + 1})
        return again

    def start_and_wait(self, step, **kwargs):
        """Start one step and return its process once it is in the middle of it."""
        self.folder.mkdir(parents=True)
        (self.folder / f"{step}.json").write_text(json.dumps({"wait_times": 1}))
        process = self.start(step, **kwargs)
        deadline = time.monotonic() + 90
        while not (self.folder / "journal.jsonl").exists():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return process

    def start(self, *steps, group="probe", placed=None, last_try=True):
        request = StepsRequest(
            group_id=group,
            snapshot_id=self.snapshot,
            code_digest=self.digest,
            steps=steps,
            placed=placed or steps,
            last_try=last_try,
        )
        environment = {
            **self.environment(),
            REQUEST_ENV: request.model_dump_json(),
            CONTEXT_ENV: self.context.model_dump_json(),
        }
        self.result = self.lab.root / f"result-{self.day}-{group}.json"
        return warm.Process(
            [*ENTRYPOINT, "--result", str(self.result), "--code-cache", str(self.lab.storage / "code")],
            env=environment,
            merged=True,
        )

    def environment(self):
        state = str(self.lab.storage)
        return {
            **self.lab.environment,
            "ZENML_CONFIG_PATH": f"{state}/zenml",
            "ZENML_LOCAL_STORES_PATH": f"{state}/zenml/local_stores",
            "ZENML_ANALYTICS_OPT_IN": "false",
        }

    def run(self, *steps, **kwargs):
        process = self.start(*steps, **kwargs)
        output, _ = process.communicate(timeout=120)
        return process.returncode, output

    def records(self):
        return {run["key"].rsplit("/", 1)[1]: run for run in self.all_records()}

    def all_records(self):
        oracle = warm.run([HERE / "oracle.py"], env=self.lab.environment, stdin="probe\n", check=True)
        found = json.loads(oracle.stdout.strip().splitlines()[-1])
        return [run for run in found if run["dag_run"] == f"day-{self.day}"]

    @property
    def folder(self):
        return self.lab.storage / "probe" / self.day


def test_two_groups_place_two_parts_of_a_pipeline(lab):
    steps = Steps(lab, "2026-01-05")
    code, output = steps.run("extract", "transform", group="first")
    assert code == 0, output
    assert json.loads(steps.result.read_text())["steps"] == {"extract": "completed", "transform": "completed"}
    code, output = steps.run("check", "load", group="second")
    assert code == 0, output

    records = steps.records()
    assert {group: run["status"] for group, run in records.items()} == {
        "first": "completed",
        "second": "completed",
    }
    skipped = dict.fromkeys(("side", "check", "load"), "skipped")
    assert records["first"]["steps"] == {"extract": "completed", "transform": "completed", **skipped}
    assert records["second"]["steps"] == {
        "extract": "cached",
        "transform": "cached",
        "side": "skipped",
        "check": "completed",
        "load": "completed",
    }
    assert (
        json.loads((steps.folder / "partition.json").read_text())["text"] == "extract#1 transform#1 check#1 load#1"
    )


def test_what_no_part_has_produced_is_named(lab):
    code, output = Steps(lab, "2026-01-06").run("check", group="late")
    assert code == 1
    assert "Step 'check' needs the output of 'extract'" in output
    assert "select it in the DAG file" in output


def test_a_termination_is_recorded_as_stopped(lab):
    steps = Steps(lab, "2026-01-07")
    process = steps.start_and_wait("extract", placed=ALL_STEPS)
    os.kill(process.pid, signal.SIGTERM)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == STOPPED_EXIT_CODE, output
    run = steps.records()["probe"]
    assert (run["status"], run["steps"]) == ("stopped", {"extract": "stopped"})
    assert "SIGTERM" in run["reason"]


STOPPING = """
import sys
from uuid import UUID
from zenml_airflow.runtime.records import mark_stopping
mark_stopping(UUID(sys.argv[1]), ["extract"], "the operator cleared the task")
"""


def test_the_next_attempt_ends_what_was_killed_while_it_stopped(lab):
    steps = Steps(lab, "2026-01-08")
    process = steps.start_and_wait("extract", placed=ALL_STEPS)
    warm.run(["-c", STOPPING, steps.records()["probe"]["id"]], env=steps.environment(), check=True)
    process.kill()
    process.communicate(timeout=120)
    assert steps.records()["probe"]["status"] == "stopping"

    again = steps.cleared()
    code, output = again.run("extract", placed=ALL_STEPS)
    assert code == 0, output
    old, new = steps.all_records()
    assert (old["status"], old["steps"]) == ("stopped", {"extract": "stopped"})
    assert old["reason"] == "the operator cleared the task"
    assert new["original"] == old["id"]
    assert new["steps"] == {"extract": "completed"}


def test_without_a_request_it_says_who_sets_it():
    result = subprocess.run(
        [sys.executable, *ENTRYPOINT, "--code-cache", "x"],
        env={"PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert f"{REQUEST_ENV} or {CONTEXT_ENV} is missing or wrong" in result.stderr
    assert "Traceback" not in result.stderr
