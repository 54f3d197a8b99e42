"""The platform's version, and copies of what it stands in."""

import runpy
import shutil
import subprocess
import sys
import tomllib

from labs import ROOT

SCRIPT = ".ci/version.py"
VERSION = tomllib.loads((ROOT / "packages/zenml_airflow/pyproject.toml").read_text())["project"]["version"]
NAMES = runpy.run_path(str(ROOT / SCRIPT))
"""What the script defines."""
FILES = sorted({SCRIPT, "uv.lock", *NAMES["CHANGELOGS"], *(path for path, _ in NAMES["PLACES"])})


def copied(folder):
    """A copy of the files that name the version, at the same places below a folder."""
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    return folder


def run(folder, *arguments, code=0):
    """Run the script of a copy; returns what it says."""
    command = [sys.executable, "-I", SCRIPT, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr
