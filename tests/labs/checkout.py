"""A local environment of its own for a test, driven through the command line."""

import json
from dataclasses import dataclass
from pathlib import Path

from labs import ROOT, free_ports, own_environment, warm

DAYS = 4
"""Days that the main job scores here, from the first one; the shipped demo has a week, of the same."""


@dataclass
class Checkout:
    """A state folder of its own, with ports of its own, driven through the command line."""

    state: Path
    environment: dict

    def mlops(self, *arguments, timeout=900, check=True):
        result = warm.run(
            ["-m", "zenml_mlops.cli.app", *map(str, arguments)], cwd=ROOT, env=self.environment, timeout=timeout
        )
        if check:
            assert result.returncode == 0, f"{arguments}: {result.stdout[-3000:]}\n{result.stderr[-3000:]}"
        return result

    def zenml_runs(self, pipeline):
        script = Path(__file__).with_name("zenml_dump.py")
        result = warm.run([str(script), pipeline], cwd=ROOT, env=self.environment, timeout=120)
        assert result.returncode == 0, result.stderr[-3000:]
        return json.loads(result.stdout[result.stdout.index("[") :])

    def python(self, code):
        """Run code that sees this state folder; return what it prints as JSON."""
        result = warm.run(["-c", code], cwd=ROOT, env=self.environment)
        assert result.returncode == 0, result.stderr[-3000:]
        return json.loads(result.stdout.strip().splitlines()[-1])

    def processes(self):
        code = (
            "import json; from zenml_mlops.environment.process import enter\n"
            "from zenml_mlops.local.services import running\n"
            "print(json.dumps([p.pid for p in running(enter('local'))]))"
        )
        return self.python(code)


def make_checkout(state):
    airflow, mlflow = free_ports(2)
    environment = own_environment() | {
        "MLOPS_STATE_DIR": str(state),
        "MLOPS_AIRFLOW_PORT": str(airflow),
        "MLOPS_MLFLOW_PORT": str(mlflow),
        "COLUMNS": "200",
    }
    return Checkout(state=state, environment=environment)
