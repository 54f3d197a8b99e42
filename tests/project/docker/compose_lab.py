"""The services of the compose file on a real engine, in a project, volumes and a repository of their own.

``COMPOSE`` names the compose program, ``COMPOSE_TEST_FILES`` further compose files.
"""

import json
import os
import shlex
import subprocess
import sys
import time

from labs import ROOT

PROJECT = "zenml-on-airflow-smoke"
PROFILES = ("s3", "monitoring")
BRANCH = "smoke"
PROMETHEUS = "http://prometheus:9090/api/v1/query"
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
        self.repository = folder / "checkout"
        self._run("git", "clone", "--quiet", str(ROOT), str(self.repository))
        self._git("checkout", "--quiet", "-b", BRANCH)
        # The users in the containers are others.
        folder.chmod(0o755)
        own = {
            "SECRETS_DIR": str(self.secrets),
            "DAGS_REPOSITORY": str(self.repository / ".git"),
            "DAGS_REF": BRANCH,
        }
        own |= {"STATSD_ON": "True", "STEPS_STATSD": "statsd-exporter:9125"}
        env = folder / "compose.env"
        env.write_text("".join(f"{name}={value}\n" for name, value in {**settings, **ports, **own}.items()))
        files = ["docker-compose.yml", *shlex.split(os.environ.get("COMPOSE_TEST_FILES", ""))]
        self.compose = [
            *shlex.split(os.environ.get("COMPOSE", "docker compose")),
            *("--project-name", PROJECT, "--project-directory", str(ROOT), "--env-file", str(env)),
            *(part for file in files for part in ("--file", str(ROOT / file))),
            *(part for profile in PROFILES for part in ("--profile", profile)),
        ]

    def _run(self, *command, check=True, **arguments):
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, **arguments)
        if check and result.returncode:
            raise AssertionError(f"{' '.join(command[-6:])}: {result.stdout[-3000:]}{result.stderr[-3000:]}")
        return result.stdout

    def _git(self, *command):
        return self._run("git", "-C", str(self.repository), "-c", "user.name=t", "-c", "user.email=t@t", *command)

    def commit(self, path, old, new):
        """Change a file on the branch that is deployed."""
        file = self.repository / path
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
        self._git("commit", "--quiet", "--all", "--message", f"Change {path}")

    def __call__(self, *arguments, **options):
        return self._run(*self.compose, *arguments, **options)

    def inside(self, service, *command, **options):
        """Run a command in a container, with the secrets that the service has."""
        filled = ("python", "/usr/local/bin/entrypoint.py", *command)
        return self("exec", "-T", service, *filled, **options)

    def mlops(self, *arguments, **options):
        """Run the command line, as its users do."""
        return self("run", "--rm", "--no-deps", "-T", "mlops", *arguments, "--env", "compose", **options)

    def api(self, method, path, body=None):
        """Ask Airflow's API, from within the network of the services."""
        password = (self.secrets / "airflow_admin_password").read_text()
        asked = json.dumps([password, method, path, body])
        answer = json.loads(self.inside("scheduler", "python", "-c", API, input=asked).splitlines()[-1])
        assert answer["status"] < 400, answer
        return answer["body"]

    def metric(self, query):
        """The values that Prometheus has for a query, by name of the metric."""
        ask = "import httpx, sys; print(httpx.get(sys.argv[1], params={'query': sys.argv[2]}).text)"
        said = self.inside("scheduler", "python", "-c", ask, PROMETHEUS, query)
        found = json.loads(said.splitlines()[-1])["data"]["result"]
        return {one["metric"]["__name__"]: float(one["value"][1]) for one in found}

    def containers(self):
        """State and health of every container."""
        ids = self("ps", "-q", "--all").split()
        return json.loads(self._run("docker", "inspect", *ids)) if ids else []

    def kill_a_worker(self):
        """Kill the first of the workers; the engine does not start it again."""
        self._run("docker", "kill", self("ps", "-q", "worker").split()[0])

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
