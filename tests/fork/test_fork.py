"""A project of another use case runs its own checks, tests and main job."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scaffold"))

from tables import breast_cancer
from test_new import ROOT, git, new


@pytest.mark.timeout(1800)
def test_breast_cancer_runs_its_tests_and_its_main_job(tmp_path):
    data = tmp_path / "tumours.csv"
    data.write_text(breast_cancer())
    folder = tmp_path / "made"
    new(folder, data, "--name", "breast_cancer", "--target", "diagnosis", "--event", "malignant")
    if (ROOT / ".mypy_cache").is_dir():
        # Most files are those of this project: what mypy knows of them it need not find out again.
        shutil.copytree(ROOT / ".mypy_cache", folder / ".mypy_cache")
    foreign = ("AIRFLOW", "MLOPS_", "ZENML_", "VIRTUAL_ENV")
    env = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    # The platform's tests are those of this project; here its own ones count, the main job among them.
    for command in (["make", "check"], ["make", "docs"], ["make", "test", "TESTS=tests/use_case"]):
        run = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-3000:]
    assert "passed" in run.stdout
    assert "skipped" not in run.stdout.splitlines()[-1]
    assert git(folder, "status", "--short") == []
