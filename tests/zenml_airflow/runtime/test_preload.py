"""What a process that forks tasks imports beforehand, and what that leaves behind."""

import json
import os
import subprocess
import sys

import pytest

from zenml_airflow.runtime.preload import MODULES, may_preload

pytestmark = pytest.mark.airflow

ASK = """
import json, os, sys, threading
import airflow
OURS = ("zenml_pipelines", "governance")
from zenml_airflow.runtime.preload import preload_if_forking
before, variables = set(os.listdir("/proc/self/fd")), dict(os.environ)
done = preload_if_forking(["airflow", "scheduler"], executor="LocalExecutor")
from zenml_airflow.runtime.preload import MODULES
from zenml.config.global_config import GlobalConfiguration
from zenml.environment import Environment

def kind(descriptor):
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}").split(":")[0]
    except FileNotFoundError:
        return "gone"

print(json.dumps({
    "done": done,
    "rehearsed": "zenml_airflow.runtime.rehearsal" in sys.modules and GlobalConfiguration.get_instance() is None,
    "environment": sorted(
        name for name, _ in os.environ.items() ^ variables.items() if name.startswith(("ZENML_", "DISABLE_"))
    ),
    "packages": len(Environment.get_python_packages()),
    "threads": [thread.name for thread in threading.enumerate()],
    "kernel_threads": len(os.listdir("/proc/self/task")),
    "opened": sorted(kind(d) for d in set(os.listdir("/proc/self/fd")) - before),
    "own": sorted(n for n in sys.modules if n.split(".")[0] in OURS),
    "missing": [name for name in (*MODULES, "zenml_mlops.gates.steps") if name not in sys.modules],
    "locks": [line for line in open("/proc/locks") if line.split()[4] == str(os.getpid())],
}))
"""


@pytest.fixture(scope="module")
def preloaded():
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ASK],
        env={**os.environ, "ZENML_AIRFLOW_PRELOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "could not be preloaded" not in result.stdout + result.stderr
    return json.loads(result.stdout.strip().splitlines()[-1])


def test_everything_is_imported_and_nothing_of_the_project(preloaded):
    assert preloaded["done"] is True
    assert preloaded["missing"] == []
    assert preloaded["own"] == []
    assert not [name for name in MODULES if name.split(".")[0] in {"zenml_pipelines", "governance"}]


def test_it_has_rehearsed_and_left_the_environment_as_it_was(preloaded):
    assert preloaded["rehearsed"] is True
    assert preloaded["environment"] == []
    assert preloaded["packages"] > 100


def test_a_fork_inherits_no_thread_and_no_connection(preloaded):
    assert preloaded["threads"] == ["MainThread"]
    assert preloaded["kernel_threads"] == 1
    assert preloaded["opened"] == []
    assert preloaded["locks"] == []


@pytest.mark.parametrize(
    ("command", "executor", "expected"),
    [
        (["airflow", "scheduler"], "LocalExecutor", True),
        (["airflow", "scheduler"], "CeleryExecutor,LocalExecutor", True),
        (["airflow", "scheduler"], "CeleryExecutor", False),
        (["airflow", "scheduler"], "KubernetesExecutor", False),
        (["airflow", "celery", "worker"], "CeleryExecutor", True),
        (["airflow", "celery", "flower"], "CeleryExecutor", False),
        (["airflow", "api-server"], "LocalExecutor", False),
        (["airflow", "dag-processor"], "LocalExecutor", False),
        (["airflow", "triggerer"], "LocalExecutor", False),
        (["airflow", "tasks", "test"], "LocalExecutor", False),
        (["airflow"], "LocalExecutor", False),
    ],
)
def test_only_processes_that_fork_tasks_preload(command, executor, expected):
    assert may_preload(command, executor) is expected


NUMBERS = """
import json, sys
import airflow.jobs.scheduler_job_runner
if sys.argv[1] == "apart":
    from zenml_airflow.runtime.preload import import_apart_from_airflow
    import_apart_from_airflow()
from zenml.models import ModelVersionFilter
(found,) = [f for f in ModelVersionFilter(number=1).list_of_filters if f.column == "number"]
print(json.dumps(str(found.value)))
"""


@pytest.mark.parametrize(("how", "value"), [("apart", "1.0"), ("beside", "1970-01-01 00:00:01+00:00")])
def test_a_version_is_found_by_number_in_a_task_that_the_scheduler_forked(how, value):
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", NUMBERS, how],
        env={**os.environ, "ZENML_AIRFLOW_PRELOAD": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout.strip().splitlines()[-1]) == value


LAZILY = """
import json, sys
from zenml_airflow.runtime.preload import activate_integrations_when_needed
activate_integrations_when_needed()
from zenml.materializers.materializer_registry import materializer_registry
import zenml.orchestrators.step_runner
before = "zenml.integrations.sklearn.materializers" in sys.modules
from sklearn.linear_model import LogisticRegression
names = [materializer_registry[kind].__name__ for kind in (LogisticRegression, int)]
print(json.dumps([before, *names]))
"""


def test_integrations_are_activated_when_a_materializer_is_looked_up_by_type():
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LAZILY], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout.strip().splitlines()[-1]) == [
        False,
        "SklearnMaterializer",
        "BuiltInMaterializer",
    ]


COUNT = """
import gc, sys
from zenml_airflow.runtime.preload import collect_rarely
if sys.argv[1:]:
    collect_rarely()
before = sum(generation["collections"] for generation in gc.get_stats())
import zenml.client
print(sum(generation["collections"] for generation in gc.get_stats()) - before)
"""


def collections(*arguments):
    command = [sys.executable, "-W", "ignore", "-c", COUNT, *arguments]
    # Without what the tests tell every process at its start.
    environment = {**os.environ, "PYTHONPATH": ""}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(result.stdout)


def test_a_process_that_collects_rarely_does():
    assert 10 * collections("rarely") < collections()
