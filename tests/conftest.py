"""Every test works on stores below a temporary folder, whatever the developer's own environment says."""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from zenml_airflow.preload import collect_rarely

collect_rarely()

_TOGETHER = {
    "tests/e2e/test_main_job.py": "the main job",
    "tests/e2e/test_readme.py": "the main job",
    "tests/provider/test_provider_airflow.py": "a ZenML server",
    "tests/provider/test_provider_models.py": "a ZenML server",
    "tests/provider/test_provider_server.py": "a ZenML server",
    "tests/provider/test_provider_stacks.py": "a ZenML server",
}
"""Modules that share a fixture of minutes; they start first."""

# ZenML takes the folder of the main module for the root of the sources; a worker's has no file.
vars(sys.modules["__main__"]).setdefault("__file__", str(Path(sys.executable).with_name("pytest")))

_SESSION = Path(tempfile.mkdtemp(prefix="mlops-tests-"))

# A store URL, a tracking URI or an active stack of the developer's would win over the folders below.
for _name in list(os.environ):
    if _name.startswith(("AIRFLOW", "MLFLOW_", "MLOPS_", "ZENML_")):
        del os.environ[_name]

# ZenML and Airflow read these on import, so they are set before any test module is.
os.environ.update(
    {
        "AIRFLOW_HOME": str(_SESSION / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_SESSION / 'airflow' / 'airflow.db'}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLOPS_STATE_DIR": str(_SESSION / "state"),
        "PYTHONPATH": os.pathsep.join(
            filter(None, (str(Path(__file__).parent / "startup"), os.environ.get("PYTHONPATH")))
        ),
        "AUTO_OPEN_DASHBOARD": "false",
        "ZENML_ANALYTICS_OPT_IN": "false",
        "ZENML_CONFIG_PATH": str(_SESSION / "zenml"),
        "ZENML_DISABLE_PIPELINE_LOGS_STORAGE": "true",
        "ZENML_DISABLE_STEP_LOGS_STORAGE": "true",
        "ZENML_ENABLE_RICH_TRACEBACK": "false",
        "ZENML_LOCAL_STORES_PATH": str(_SESSION / "zenml" / "local_stores"),
        "ZENML_LOGGING_VERBOSITY": "WARN",
    }
)


class _ByModule(LoadScopeScheduling):  # type: ignore[misc]
    """With several workers (``pytest -n``) a module's tests run in one, and so do those that share a fixture.

    The groups of pytest-xdist would say the same, but its 3.8 does not mark them under pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.split("::", 1)[0]
        return _TOGETHER.get(module, module)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _ByModule:
    return _ByModule(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    first = list(_TOGETHER)
    items.sort(
        key=lambda item: first.index(name) if (name := item.nodeid.split("::")[0]) in _TOGETHER else len(first)
    )


def pytest_sessionfinish() -> None:
    shutil.rmtree(_SESSION, ignore_errors=True)
