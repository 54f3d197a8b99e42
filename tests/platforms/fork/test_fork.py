"""A project on wheels of the platform: its own checks, tests and main job, and what an upgrade leaves of it."""

import shutil
import subprocess

import pytest
from labs import versions
from labs.scaffolds import ENV, ROOT, commit, git, new, repository, upgrade
from labs.tables import breast_cancer

LATER = "99.0.0"
UV = shutil.which("uv") or str(ROOT / ".venv-uv" / "bin" / "uv")


def packages(folder, version):
    """The platform's packages, as of another version; each wheel is built from the source distribution alone."""
    source = versions.copied(folder / f"source-{version}")
    for name in ("zenml_airflow", "zenml_mlops"):
        place = source / "packages" / name
        ignored = shutil.ignore_patterns("__pycache__", "pyproject.toml", "CHANGELOG.md")
        shutil.copytree(ROOT / "packages" / name, place, ignore=ignored, dirs_exist_ok=True)
    if version != versions.VERSION:
        versions.run(source, "set", version)
    made = folder / f"packages-{version}"
    for name in ("airflow-provider-zenml", "zenml-airflow-mlops"):
        command = [UV, "build", "--quiet", "--package", name, "--out-dir", made]
        subprocess.run(command, cwd=source, check=True, env=ENV)
    return made


def make(folder, *targets):
    run = subprocess.run(["make", *targets], cwd=folder, env=ENV, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-3000:]
    return run.stdout


@pytest.mark.timeout(1800)
def test_breast_cancer_runs_its_tests_and_its_main_job_and_takes_the_next_platform(tmp_path):
    data = tmp_path / "tumours.csv"
    data.write_text(breast_cancer())
    platform = repository(tmp_path / "platform", versions.VERSION, LATER)
    folder = tmp_path / "made"
    named = ("--name", "breast_cancer", "--target", "diagnosis", "--event", "malignant")
    new(folder, data, *named, "--platform", packages(tmp_path, versions.VERSION), "--template", platform)
    make(folder, "check")
    said = make(folder, "test")
    assert " passed" in said
    assert "skipped" not in said.splitlines()[-1]
    assert git(folder, "status", "--short") == []

    features = folder / "zenml_pipelines" / "use_case" / "features.py"
    features.write_text(features.read_text() + "\n# Ours.\n")
    commit(folder)
    upgrade(folder, "--platform", packages(tmp_path, LATER))
    assert " passed" in make(folder, "test-fast")
    assert (folder / "SECURITY.md").is_file()
    assert "# Ours." in features.read_text()
    asked = "from importlib.metadata import version; print(version('zenml-airflow-mlops'))"
    python = folder / ".venv" / "bin" / "python"
    assert (
        subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout.strip() == LATER
    )
