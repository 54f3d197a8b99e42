"""What Airflow knows of the provider once the package is installed."""

import importlib
import json
import subprocess
import sys
from importlib.resources import files

import jsonschema
from airflow.providers_manager import ProvidersManager
from labs import ROOT

from zenml_airflow.client.api import ServerExtra
from zenml_airflow.contracts.provenance import DISTRIBUTION
from zenml_airflow.hooks.zenml import ZenMLHook
from zenml_airflow.provider import get_provider_info

LOAD_WITHOUT = """
import importlib, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("zenml", "pandas", "sklearn", "mlflow", "pyarrow", "skops", "pandera"):
            raise ModuleNotFoundError("No module named " + repr(name), name=name)

sys.meta_path.insert(0, Missing())
for module in {modules!r}:
    importlib.import_module(module)
"""


def named_modules(info):
    """All modules that the description names."""
    listed = [module for kind in ("operators", "sensors", "hooks", "triggers") for module in info[kind]]
    modules = [name for entry in listed for name in entry["python-modules"]]
    classes = [*info["extra-links"], *(kind["hook-class-name"] for kind in info["connection-types"])]
    return sorted({*modules, *(name.rpartition(".")[0] for name in classes)})


def test_the_description_fits_airflows_schema_and_names_what_exists():
    info = get_provider_info()
    schema = json.loads(files("airflow").joinpath("provider_info.schema.json").read_text())
    jsonschema.validate(info, schema)
    for name in named_modules(info):
        importlib.import_module(name)
    (kind,) = info["connection-types"]
    assert kind["connection-type"] == ZenMLHook.conn_type
    assert kind["hook-name"] == ZenMLHook.hook_name
    # The form asks for what the hook reads, and for nothing that it would refuse.
    assert set(kind["conn-fields"]) == set(ServerExtra.model_fields)


def test_airflow_finds_hook_form_and_links_of_the_installed_package():
    manager = ProvidersManager()
    assert DISTRIBUTION in manager.providers
    hook = manager.hooks["zenml"]
    assert hook.hook_class_name == "zenml_airflow.hooks.zenml.ZenMLHook"
    assert hook.connection_testable
    assert set(get_provider_info()["extra-links"]) <= set(manager.extra_links_class_names)


def test_an_airflow_image_without_the_ml_stack_loads_every_module_that_airflow_is_told_of():
    modules = [*named_modules(get_provider_info()), "zenml_airflow.provider", "zenml_airflow.openlineage.lineage"]
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOAD_WITHOUT.format(modules=modules)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
