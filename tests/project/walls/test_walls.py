"""Who may import whom, where the import linter cannot see it: in bare processes, and in DAG files.

The import linter reads the project's own import statements. What a third-party library imports in turn, and what
is imported by name, shows only when a module is loaded where a package is missing.
"""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from labs import ROOT

import zenml_airflow

SOURCES = Path(zenml_airflow.__file__).parent
BRIDGE = sorted(
    ".".join(path.relative_to(SOURCES).with_suffix("").parts)
    for path in SOURCES.rglob("*.py")
    if path.stem != "__init__"
)
DAG_FILES = sorted((ROOT / "dags").rglob("*.py"))

ML_STACK = ("zenml", "pandas", "sklearn", "mlflow", "pandera", "skops", "pyarrow")
AIRFLOW_SIDE = frozenset(
    {
        *("bundles", "dags", "hooks", "links", "models_page", "openlineage", "operators", "promotion", "sensors"),
        "task_group",
    }
)
"""Rooms that only Airflow loads; every other one loads in a step image, which has no Airflow."""
ZENML_SIDE = frozenset({"deploy", "runtime"})
"""Rooms that may ask for ZenML when they are imported; every other one loads in an Airflow image without it."""

LOAD_WITHOUT = """
import importlib, json, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {missing!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)

sys.meta_path.insert(0, Missing())
failed = {{}}
for module in {modules!r}:
    try:
        importlib.import_module("zenml_airflow." + module)
    except ImportError as error:
        failed[module] = str(error)
print(json.dumps(failed))
"""


def failing_without(*missing):
    """Modules of the bridge that cannot be imported where packages are missing, with the reason."""
    code = LOAD_WITHOUT.format(missing=missing, modules=BRIDGE)
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize(
    ("missing", "rooms", "must_fail"),
    [(("airflow",), AIRFLOW_SIDE, {"dags", "task_group"}), (ML_STACK, ZENML_SIDE, {"deploy.flavor"})],
    ids=["step image without Airflow", "Airflow image without the ML stack"],
)
def test_every_module_loads_in_the_image_it_is_meant_for(missing, rooms, must_fail):
    failed = failing_without(*missing)
    assert {module.split(".")[0] for module in failed} <= rooms, failed
    # A module that must fail and does not would mean that nothing was missing.
    assert must_fail <= set(failed)


def foreign_imports(source):
    """What a DAG file imports beyond the bridge, Airflow and the standard library."""
    allowed = sys.stdlib_module_names | {"zenml_airflow", "airflow"}
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append("." * node.level + (node.module or ""))
    return [name for name in names if name.split(".")[0] not in allowed]


@pytest.mark.parametrize(
    ("source", "foreign"),
    [
        ("import json\nfrom airflow.sdk import DAG\nfrom zenml_airflow.dags import load_settings", []),
        ("import pandas as pd, json", ["pandas"]),
        ("def task():\n    from zenml_mlops.inference.batch import score", ["zenml_mlops.inference.batch"]),
        ("from . import helpers", ["."]),
        ("from .helpers import x", [".helpers"]),
        ("import airflow_helpers", ["airflow_helpers"]),
    ],
)
def test_a_foreign_import_is_seen(source, foreign):
    assert foreign_imports(source) == foreign


def test_dag_files_import_the_bridge_airflow_and_the_standard_library_only():
    assert DAG_FILES
    found = {path.name: foreign_imports(path.read_text(encoding="utf-8")) for path in DAG_FILES}
    assert found == {path.name: [] for path in DAG_FILES}
