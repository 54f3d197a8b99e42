"""Projects that `mlops new` makes, and repositories of the template they are made from."""

import os
import shutil
import subprocess

from labs import ROOT, warm
from zenml_mlops.scaffold.project import SCAFFOLD

FOREIGN = ("AIRFLOW", "MLOPS_", "ZENML_", "VIRTUAL_ENV", "UV_")
ENV = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
"""Of a process that works with a project of its own."""


def new(folder, data, *options, code=0):
    run = warm.run(["-m", "zenml_mlops.cli.app", "new", folder, "--data", data, *options], cwd=ROOT)
    assert run.returncode == code, run.stdout + run.stderr
    return run.stdout + run.stderr


def upgrade(folder, *options, code=0):
    run = warm.run(["-m", "zenml_mlops.cli.app", "upgrade", *options], cwd=folder)
    assert run.returncode == code, run.stdout + run.stderr
    return " ".join((run.stdout + run.stderr).split())


def git(folder, *command):
    author = ("-c", "user.name=somebody", "-c", "user.email=somebody@localhost")
    run = subprocess.run(["git", "-C", str(folder), *author, *command], capture_output=True, text=True, check=True)
    return run.stdout.splitlines()


def commit(folder, message="A change"):
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)


def repository(folder, first="0.1.0", second="0.2.0"):
    """A repository of the platform with two tags; the second has another default, and a file more."""
    folder.mkdir(exist_ok=True)
    git(folder, "init", "--quiet", "--initial-branch", "main")
    place = folder / SCAFFOLD.relative_to(ROOT)
    shutil.copytree(SCAFFOLD, place, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "copier.yml", folder)
    commit(folder)
    git(folder, "tag", f"v{first}")
    makefile = place / "template" / "Makefile"
    makefile.write_text(makefile.read_text().replace("SOURCE ?= auto", "SOURCE ?= synthetic"))
    (place / "template" / "SECURITY.md").write_text("Write to the owner.\n")
    commit(folder)
    git(folder, "tag", f"v{second}")
    return folder
