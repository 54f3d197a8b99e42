"""Another ZenML store, in a process of its own, and the keys that its bundles are signed with."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from labs import warm
from zenml_mlops.bundles import Rules

SOURCE = Path(__file__).with_name("bundle_source.py")
PACKAGES = ("governance", "zenml_mlops", "zenml_pipelines")
SIGNER = "release@example.org"


def make_key(folder: Path, name: str) -> Path:
    path = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path], check=True)
    return path


def rules_for(key: Path, *models: str) -> Rules:
    """Rules of a server that lets in what the key has signed."""
    allowed = key.with_name("allowed")
    public = key.with_suffix(".pub").read_text().strip()
    allowed.write_text(f'{SIGNER} namespaces="mlops-bundle" {public}\n')
    return Rules(allowed_signers=allowed, packages=PACKAGES, models=models)


def export_elsewhere(store: Path, jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Export from another store; see :mod:`bundle_source` for the jobs."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("MLOPS_", "ZENML_CONFIG", "ZENML_LOCAL"))}
    done = warm.run(
        [SOURCE, store, json.dumps(jobs)],
        env={**keep, "PYTHONPATH": os.pathsep.join((str(SOURCE.parent), os.environ["PYTHONPATH"]))},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said: list[dict[str, Any]] = json.loads(done.stdout[done.stdout.index("[{") :])
    return said
