"""Every test works on stores below a temporary folder, whatever the developer's own environment says."""

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from labs import kept_environment, stores, times, warm
from xdist.scheduler import LoadScopeScheduling

from zenml_airflow.runtime.preload import collect_rarely, know_installed_packages

collect_rarely()

_TOGETHER = {
    "project/main_job/test_main_job.py": "main job",
    "project/main_job/test_readme.py": "main job",
    "zenml_airflow/provider/": "ZenML server",
}
"""Tests that share a fixture of minutes: they run in one worker, and start first."""
_TRAINED = frozenset({"in_production", "small_workspace", "two_versions", "bench", "both", "real_root"})
"""Fixtures that train a model, or are there for it."""
_FIRST = "/data/test_data_"
"""Tests that need neither ZenML's store nor a warm process (labs/warm.py), which take ten seconds to be ready."""


def _group(nodeid: str) -> str | None:
    path = nodeid.split("::", 1)[0].removeprefix("tests/")
    return next((group for start, group in _TOGETHER.items() if path.startswith(start)), None)


def _place(nodeid: str) -> int:
    order = list(_TOGETHER.values())
    group = _group(nodeid)
    return order.index(group) if group else len(order) + (_FIRST not in nodeid)


# ZenML takes the folder of the main module for the root of the sources; a worker's has no file.
vars(sys.modules["__main__"]).setdefault("__file__", str(Path(sys.executable).with_name("pytest")))

_HERE = Path(__file__).parent
_SESSION = Path(tempfile.mkdtemp(prefix="mlops-tests-"))

# The first process, and its folder, which the workers that it starts share: see labs/stores.py and labs/warm.py.
os.environ.setdefault("TESTS_RUN", str(_SESSION))
os.environ.setdefault("TESTS_RUN_PID", str(os.getpid()))

# As many workers as there are cores: the second thread of a fit would only wait for its turn, and wait busily.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# What a test starts imports the project hundreds of times: its byte code is kept, whatever the shell says.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

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
            filter(None, (str(_HERE / "labs" / "startup"), str(_HERE), os.environ.get("PYTHONPATH")))
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


def pytest_sessionstart(session: pytest.Session) -> None:
    """While the workers collect: they all need it."""
    if getattr(session.config.option, "numprocesses", None) and not session.config.option.collectonly:
        warm.begin("zenml")


class _ByModule(LoadScopeScheduling):  # type: ignore[misc]
    """With several workers (``pytest -n``) a module's tests run in one, and so do those that share a fixture.

    The groups of pytest-xdist would say the same, but its 3.8 does not mark them under pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid) or nodeid.split("::", 1)[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _ByModule:
    return _ByModule(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _place(item.nodeid))
    for item in items:
        if _group(item.nodeid):
            # A platform or a server of minutes.
            item.add_marker("airflow")
        elif _TRAINED & set(getattr(item, "fixturenames", ())):
            item.add_marker("trained")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """As in every process of the project that runs steps; ZenML itself is imported by who needs it."""
    if "zenml.environment" in sys.modules:
        know_installed_packages()
        if _FIRST not in item.nodeid:
            _give_own_store()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """A command that runs in a test's own process enters an environment there; the next test is not in it."""
    with kept_environment():
        return (yield)


@cache
def _give_own_store() -> None:
    """A worker's store is a copy; a single process, which may need no other, makes its own."""
    if "PYTEST_XDIST_WORKER" in os.environ and not Path(os.environ["ZENML_LOCAL_STORES_PATH"]).exists():
        stores.give_zenml(os.environ["ZENML_CONFIG_PATH"])


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Tell how long each suite took, once for all workers."""
    if hasattr(terminalreporter.config, "workerinput"):
        return
    reports = [one for found in terminalreporter.stats.values() for one in found if hasattr(one, "duration")]
    if reports:
        terminalreporter.section("seconds by suite")
        for line in times.lines(times.kept(times.seconds(reports))):
            terminalreporter.write_line(line)


def pytest_collection_finish() -> None:
    gc.freeze()


def pytest_sessionfinish() -> None:
    shutil.rmtree(_SESSION, ignore_errors=True)
