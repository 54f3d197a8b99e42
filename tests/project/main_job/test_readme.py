"""Every command that the README and the docs name is run here or, for the slow ones, by another test."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from labs import ROOT, warm

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(1200)]

README = (ROOT / "README.md").read_text()
# `tests/platforms/runbook` and `tests/zenml_mlops/scaffold` carry these out, in order, each on its own Airflow.
PAGES = [path for path in sorted((ROOT / "docs").glob("*.md")) if path.stem not in {"adopt", "runbook"}]
DOCS = "".join(path.read_text() for path in PAGES)
INLINE = re.findall(r"`((?:mlops|zenml) [^`]+)`", README + DOCS)
LINES = re.findall(r"^((?:mlops|zenml) [^\n#]+)", DOCS, re.MULTILINE)
# It is how the platform of `tests/platforms/runbook` gets its first version.
RUNBOOK = {"mlops run training"}
COMMANDS = sorted({command.strip() for command in INLINE + LINES} - RUNBOOK)
MAKE = sorted(set(re.findall(r"^make ([a-z]+)", README, re.MULTILINE)))
ELSEWHERE = {
    "demo": "the `main_job` fixture runs `mlops demo`",
    "test": "this is part of it",
    "down": "the `main_job` fixture runs `mlops down`",
    "clean": "it would remove the services of the other tests",
}


@pytest.fixture(scope="module")
def environment(main_job):
    """What `eval "$(mlops env)"` leaves in a shell, as the README says to call it."""
    folder = Path(sys.executable).parent
    variables = {**main_job.environment, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    script = 'set -e; exports="$(mlops env)"; eval "$exports"; env -0'
    result = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    found = dict(line.split("=", 1) for line in result.stdout.split("\0") if line)
    assert found.keys() > variables.keys()
    return found


@pytest.fixture
def shell(environment):
    path = f"{warm.programs()}{os.pathsep}{environment['PATH']}"

    def run(command):
        return subprocess.run(
            ["bash", "-c", command],
            cwd=ROOT,
            env={**environment, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_the_readme_names_commands():
    assert len(COMMANDS) >= 7
    assert {"demo", "test", "down"} <= set(MAKE)
    lab = ROOT / "tests" / "platforms" / "runbook" / "conftest.py"
    assert 'made.mlops("run", "training")' in lab.read_text()


@pytest.mark.parametrize("command", COMMANDS)
def test_command_works(shell, command):
    result = shell(command)
    assert result.returncode == 0, f"{result.stdout[-2000:]}\n{result.stderr[-2000:]}"


def test_the_run_of_a_day_is_found_by_its_tag(shell):
    found = shell("zenml pipeline runs list --tags logical_date=2026-01-06 --columns name --output json")
    assert found.returncode == 0, found.stderr
    assert "backfill__2026-01-07" in found.stdout
    assert "backfill__2026-01-09" not in found.stdout


@pytest.mark.parametrize("target", [name for name in MAKE if name not in ELSEWHERE])
def test_make_target_works(shell, target):
    result = shell(f"make {target}")
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()
