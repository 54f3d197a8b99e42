"""The whole compose file on a real engine: train and score one day through two Celery workers.

`make compose-test` runs it. It needs an engine and the images of `make images`, takes minutes, works in a project
and volumes of its own, which it removes. ``COMPOSE`` names the compose program, ``COMPOSE_TEST_FILES`` further
compose files.
"""

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "zenml-on-airflow-smoke"
DAY = "2026-01-05"
START_SECONDS = 1500
RUN_SECONDS = 1200

API = """
import json, sys, time
import httpx

password, method, path, body = json.loads(sys.stdin.read())
with httpx.Client(base_url="http://api-server:8080", timeout=60) as api:
    login = api.post("/auth/token", json={"username": "admin", "password": password}).raise_for_status()
    api.headers["Authorization"] = "Bearer " + login.json()["access_token"]
    answer = api.request(method, "/api/v2" + path, json=body)
    print(json.dumps({"status": answer.status_code, "body": answer.json() if answer.content else None}))
"""


class Platform:
    """The services of the compose file, in a project of their own."""

    def __init__(self, folder):
        self.secrets = folder / "secrets"
        tool = ROOT / "docker" / "compose" / "generate_secrets.py"
        subprocess.run([sys.executable, str(tool), "generate", str(self.secrets)], check=True)
        example = (ROOT / ".env.example").read_text().splitlines()
        settings = dict(line.split("=", 1) for line in example if line and not line.startswith("#"))
        # Free ports of the engine's own: other services of this machine may hold the usual ones.
        ports = {name: str(28000 + number) for number, name in enumerate(settings) if name.endswith("_PORT")}
        branch = self._run("git", "rev-parse", "--abbrev-ref", "HEAD").strip()
        own = {"SECRETS_DIR": str(self.secrets), "DAGS_REPOSITORY": str(ROOT / ".git"), "DAGS_REF": branch}
        env = folder / "compose.env"
        env.write_text("".join(f"{name}={value}\n" for name, value in {**settings, **ports, **own}.items()))
        files = ["docker-compose.yml", *shlex.split(os.environ.get("COMPOSE_TEST_FILES", ""))]
        self.compose = [
            *shlex.split(os.environ.get("COMPOSE", "docker compose")),
            *("--project-name", PROJECT, "--project-directory", str(ROOT), "--env-file", str(env)),
            *(part for file in files for part in ("--file", str(ROOT / file))),
        ]

    def _run(self, *command, check=True, **arguments):
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, **arguments)
        if check and result.returncode:
            raise AssertionError(f"{' '.join(command[-6:])}: {result.stdout[-3000:]}{result.stderr[-3000:]}")
        return result.stdout

    def __call__(self, *arguments, **options):
        return self._run(*self.compose, *arguments, **options)

    def inside(self, service, *command, **options):
        """Run a command in a container, with the secrets that the service has."""
        filled = ("python", "/usr/local/bin/entrypoint.py", *command)
        return self("exec", "-T", service, *filled, **options)

    def api(self, method, path, body=None):
        """Ask Airflow's API, from within the network of the services."""
        password = (self.secrets / "airflow_admin_password").read_text()
        asked = json.dumps([password, method, path, body])
        answer = json.loads(self.inside("scheduler", "python", "-c", API, input=asked).splitlines()[-1])
        assert answer["status"] < 400, answer
        return answer["body"]

    def containers(self):
        """State and health of every container."""
        ids = self("ps", "-q", "--all" if "docker-compose" not in self.compose[0] else "-q").split()
        return json.loads(self._run("docker", "inspect", *ids)) if ids else []

    def wait(self):
        """Wait until init has ended well and the others are healthy."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            states = {}
            for one in self.containers():
                name, state = one["Name"].strip("/"), one["State"]
                states[name] = state["Health"]["Status"] if state["Running"] else f"exit {state['ExitCode']}"
            bad = {name: state for name, state in states.items() if state != "healthy" and "init" not in name}
            if states and not bad and any("init" in name and state == "exit 0" for name, state in states.items()):
                return states
            time.sleep(5)
        raise AssertionError(f"not healthy: {states}\n{self('logs', '--tail', '30', check=False)[-8000:]}")

    def run_dag(self, dag_id, **body):
        """Trigger a DAG and return its run's tasks once it has ended well."""
        self.api("PATCH", f"/dags/{dag_id}", {"is_paused": False})
        run = self.api("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None, **body})["dag_run_id"]
        deadline = time.monotonic() + RUN_SECONDS
        while time.monotonic() < deadline:
            state = self.api("GET", f"/dags/{dag_id}/dagRuns/{run}")["state"]
            if state in {"success", "failed"}:
                break
            time.sleep(5)
        tasks = self.api("GET", f"/dags/{dag_id}/dagRuns/{run}/taskInstances?limit=100")["task_instances"]
        assert state == "success", [(task["task_id"], task["state"], task["hostname"]) for task in tasks]
        return tasks


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    platform = Platform(tmp_path_factory.mktemp("compose"))
    try:
        platform("up", "-d", "--scale", "worker=2", check=False)
        platform.wait()
        yield platform
    finally:
        platform("down", "--volumes", "--remove-orphans", "--timeout", "20", check=False)


@pytest.mark.timeout(3600)
def test_a_day_is_trained_for_and_scored_through_two_workers(platform):
    shown = json.dumps([one["Config"] for one in platform.containers()])
    for path in platform.secrets.iterdir():
        assert path.read_text() not in shown, f"the engine shows {path.name}"

    checkout = ("env", "PYTHONPATH=/var/lib/mlops/checkout")
    mlops = (*checkout, "mlops")
    platform.inside("worker", *mlops, "data", "fetch", "--source", "synthetic", "--env", "compose")
    platform.inside("worker", *mlops, "data", "feed", "--from", DAY, "--env", "compose")
    trained = platform.run_dag("readmission_training")
    server = (
        "import os, sys; from zenml_airflow.hooks import ZenMLHook; "
        "os.environ.update(ZenMLHook('zenml_compose').get_environment()); "
        "os.execvp(sys.argv[1], sys.argv[1:])"
    )
    promote = ("mlops", "promote", "readmission_risk", "--env", "compose")
    platform.inside("worker", *checkout, "python", "-c", server, *promote)
    scored = platform.run_dag("readmission_batch_inference", conf={"date": DAY})
    hosts = {task["hostname"] for task in (*trained, *scored) if task["hostname"]}
    assert len(hosts) == 2, f"tasks ran on {hosts}"

    found = platform.inside("worker", "find", "/var/lib/mlops/predictions", "-name", "*.parquet")
    assert found.count(f"date={DAY}") == 1, found


@pytest.mark.timeout(1800)
def test_a_second_init_changes_nothing(platform):
    before = platform.inside("worker", "sh", "-c", "cat /var/lib/mlops/manifests/*.json")
    said = platform("run", "--rm", "init")
    assert "rotated" not in said
    assert "created" not in said
    assert platform.inside("worker", "sh", "-c", "cat /var/lib/mlops/manifests/*.json") == before


@pytest.mark.timeout(900)
def test_a_missing_secret_stops_a_service_with_its_name(platform):
    found = subprocess.run(
        [*platform.compose, "run", "--rm", "--no-deps", "-e", "EXTRA={secret:not_there}", "scheduler", "airflow"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode != 0
    assert "not_there" in found.stdout + found.stderr
