"""Parse the DAG files of a checkout as Airflow's DAG processor does, and say what is wrong with them.

The parsing runs in a process of its own, ``python -m zenml_airflow.bundles.check FOLDER BUNDLE RESULT``: it
imports code that may end the process, and the process that asks must not keep what was imported.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

WHOLE = "the whole bundle"
"""What stands in the place of a file where no single file is to blame."""


def check_folder(folder: Path, bundle: str, *, timeout: float) -> dict[str, str]:
    """Return the import error of each DAG file that has one: a sentence or a stack trace by path in the folder.

    A missing or damaged manifest, a breach of a cluster policy and a DAG that cannot be serialized are errors too.

    Args:
        timeout: Seconds that all of them together may take.
    """
    if not folder.is_dir():
        return {WHOLE: f"The commit has no folder {folder.name}/ for DAG files."}
    with tempfile.TemporaryDirectory(prefix="bundle-check-") as scratch:
        result = Path(scratch) / "errors.json"
        command = [sys.executable, "-m", "zenml_airflow.bundles.check", str(folder), bundle, str(result)]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                check=False,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            return {WHOLE: f"The DAG files were not parsed within {timeout:.0f} s."}
        if done.returncode or not result.is_file():
            ended = f"Parsing the DAG files ended the process with exit code {done.returncode}"
            return {WHOLE: f"{ended}:\n{done.stdout[-2000:]}"}
        found: dict[str, str] = json.loads(result.read_text(encoding="utf-8"))
    return found


def parse_folder(folder: Path, bundle: str) -> dict[str, str]:
    """Parse the DAG files of a folder in this process and return their import errors by path in the folder."""
    from airflow.dag_processing.dagbag import BundleDagBag
    from airflow.serialization.serialized_objects import DagSerialization

    bag = BundleDagBag(dag_folder=folder, bundle_path=folder, bundle_name=bundle, load_op_links=False)
    errors = {str(path): str(text) for path, text in bag.import_errors.items()}
    for dag in bag.dags.values():
        try:
            DagSerialization.to_dict(dag)
        except Exception as error:  # noqa: BLE001 - whatever it is, Airflow shows it as an import error of the file
            path = str(dag.relative_fileloc or dag.fileloc)
            errors.setdefault(path, f"{type(error).__name__}: {error}")
    return errors


if __name__ == "__main__":
    Path(sys.argv[3]).write_text(json.dumps(parse_folder(Path(sys.argv[1]), sys.argv[2])), encoding="utf-8")
