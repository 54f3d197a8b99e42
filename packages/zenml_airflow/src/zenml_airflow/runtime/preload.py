"""Import the heavy third-party libraries once, in processes that fork tasks.

A task that runs ZenML in its own process otherwise spends seconds on imports that every task repeats. The
scheduler of the LocalExecutor forks its tasks, so what it has imported, they have. The same goes for the rest of
the platform, which is installed beside it: what steps import of it was 0.07 of a task's 0.7 CPU-seconds. The
project's own packages are never imported here: they must come from the version that a run was started with.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import importlib.util
import logging
import os
import sys
import tempfile
import typing
from collections.abc import Sequence
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from zenml_airflow.contracts.extensions import PRELOAD
from zenml_airflow.contracts.provenance import platform_versions
from zenml_airflow.runtime.zenml_sources import platform_first

if TYPE_CHECKING:
    from zenml.materializers.base_materializer import BaseMaterializer

logger = logging.getLogger(__name__)

PRELOAD_ENV = "ZENML_AIRFLOW_PRELOAD"
"""Set to ``1`` for processes that may preload."""

LOCAL_EXECUTOR = "LocalExecutor"
"""The executor whose tasks the scheduler forks."""

MODULES = (
    "zenml.client",
    "zenml.zen_stores.sql_zen_store",
    "zenml.zen_stores.migrations.backup.sqlalchemy",
    "zenml.execution.pipeline.dynamic.run_context",
    "zenml.pipelines.pipeline_definition",
    "zenml.steps.decorated_step",
    "zenml.orchestrators.step_launcher",
    "zenml.orchestrators.step_runner",
    # A stack is put together from all of ZenML's kinds of components, whichever it has.
    "zenml.alerter",
    "zenml.annotators",
    "zenml.data_validators",
    "zenml.deployers",
    "zenml.feature_stores",
    "zenml.image_builders",
    "zenml.log_stores.artifact.artifact_log_exporter",
    "zenml.sandboxes",
    "zenml.step_operators",
    "zenml.integrations.registry",
    "zenml.integrations.airflow.orchestrators.airflow_orchestrator",
    "zenml.integrations.mlflow.experiment_trackers.mlflow_experiment_tracker",
    "zenml.integrations.pandas.materializers.pandas_materializer",
    "zenml.integrations.sklearn.materializers.sklearn_materializer",
    "pandas",
    "pyarrow.parquet",
    "pyarrow.dataset",
    "sklearn.pipeline",
    "sklearn.compose",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "mlflow",
    "matplotlib.figure",
    "matplotlib.backends.backend_svg",
)


NO_THREADS = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""Variables that keep the native libraries of numpy and Arrow from starting threads when loaded: a thread does not
survive a fork, and what it held stays locked. Tasks inherit them."""

SEARCHES_EVERY_MODULE = ("skops.io",)
"""Libraries that, on import, ask every loaded module for some names. Airflow's modules answer that by importing
what they otherwise load lazily, with a warning each: 20 s and 3,000 lines were measured."""

ZENML_FILTERS = "zenml.models.v2.base.filter"
"""Declares a field as ``Optional[Union[float, datetime]]`` and takes a value for the first type that fits.
``typing`` remembers one ``Optional`` for both orders: where Airflow asked for the other one first, ZenML takes the
number of a model version for a moment in 1970 and finds no such version."""


def import_apart_from_airflow() -> None:
    """Keep what Airflow has imported from changing what ZenML and the libraries of a step become.

    Libraries of :data:`SEARCHES_EVERY_MODULE` are imported, where installed, out of sight of Airflow's modules.
    ZenML's filters are imported with none of Airflow's type annotations remembered.

    Does nothing where Airflow is not loaded: a step that needs them imports them itself. Must run while the
    process has one thread: it takes Airflow's modules out of ``sys.modules`` meanwhile.
    """
    if "airflow" not in sys.modules:
        return
    if ZENML_FILTERS not in sys.modules:
        # The module itself offers no other way to clear its caches; Python's own tests use this one.
        for clear in typing._cleanups:  # type: ignore[attr-defined]
            clear()
        importlib.import_module(ZENML_FILTERS)
    missing = [name for name in SEARCHES_EVERY_MODULE if name not in sys.modules]
    installed = [name for name in missing if importlib.util.find_spec(name.split(".", 1)[0])]
    if not installed:
        return
    hidden: dict[str, ModuleType] = {}
    for name in list(sys.modules):
        if name.split(".", 1)[0] == "airflow":
            hidden[name] = sys.modules.pop(name)
    try:
        for name in installed:
            importlib.import_module(name)
    finally:
        sys.modules.update(hidden)


def collect_rarely() -> None:
    """Spare a process that ends soon most of its garbage collections.

    What it imports stays, a million objects for ZenML. Python's collector walks them hundreds of times while they
    are imported, and again at the end: 1.6 of a step process's 4.1 CPU-seconds, and 1.4 of the 3.9 of
    ``mlops models list``.
    """
    gc.set_threshold(100_000, 20, 20)
    atexit.register(gc.freeze)


def may_preload(command: Sequence[str], executor: str) -> bool:
    """Whether a process with this command line forks tasks: a Celery worker, or the LocalExecutor's scheduler."""
    return list(command[1:3]) == ["celery", "worker"] or is_forking_scheduler(command, executor)


def is_forking_scheduler(command: Sequence[str], executor: str) -> bool:
    """Whether a process with this command line is the LocalExecutor's scheduler."""
    return list(command[1:2]) == ["scheduler"] and LOCAL_EXECUTOR in executor


def preload_if_forking(command: Sequence[str], *, executor: str) -> bool:
    """Import what is there of :data:`MODULES` and the platform if this process forks tasks; whether it did."""
    if os.environ.get(PRELOAD_ENV) != "1" or not may_preload(command, executor):
        return False
    for name, value in NO_THREADS.items():
        os.environ.setdefault(name, value)
    import_apart_from_airflow()
    installed = {top: importlib.util.find_spec(top) is not None for top in {n.split(".", 1)[0] for n in MODULES}}
    for name in MODULES:
        if installed[name.split(".", 1)[0]]:
            importlib.import_module(name)
    _prepare_zenml()
    platform_versions()
    for entry in entry_points(group=PRELOAD):
        importlib.import_module(entry.value)
    _rehearse()
    return True


def _prepare_zenml() -> None:
    """Do the work that every ZenML process repeats on first use and that opens no connection."""
    from sqlalchemy.orm import configure_mappers
    from zenml.environment import Environment
    from zenml.utils import source_utils

    activate_integrations()
    know_installed_packages()
    Environment.get_python_packages()
    source_utils._get_package_for_module("zenml")
    configure_mappers()


def _rehearse() -> None:
    """Run a pipeline of two steps on a ZenML store of its own, which goes away again.

    What ZenML, pydantic and SQLAlchemy make ready on first use, the forks have then: a step in a fresh fork took
    0.72 CPU-seconds, 0.35 after a rehearsal, and 0.13 in a process that had run one itself (n=3). A process that
    cannot rehearse forks all the same.
    """
    from zenml.client import Client
    from zenml.config.global_config import GlobalConfiguration
    from zenml.utils import source_utils

    # The other one is ZenML's, too: the services have it, as their store was migrated when they were started.
    told = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("ZENML_") or name == "DISABLE_DATABASE_MIGRATION"
    }
    with tempfile.TemporaryDirectory(prefix="zenml-rehearsal-") as folder:
        for name in told:
            del os.environ[name]
        # Nothing is sent or kept, and no thread is started that would not survive the fork.
        own = {
            "ZENML_CONFIG_PATH": folder,
            "ZENML_LOCAL_STORES_PATH": f"{folder}/local_stores",
            "ZENML_ANALYTICS_OPT_IN": "false",
            "ZENML_DISABLE_PIPELINE_LOGS_STORAGE": "true",
            "ZENML_DISABLE_STEP_LOGS_STORAGE": "true",
        }
        os.environ.update(own)
        logging.disable(logging.WARNING)
        problem: Exception | None = None
        try:
            source_utils.set_custom_source_root(str(Path(__file__).resolve().parents[2]))
            from zenml_airflow.runtime.rehearsal import rehearsal

            rehearsal()
            store: Any = GlobalConfiguration().zen_store
            store.engine.dispose()
        except Exception as error:  # noqa: BLE001 - whatever it is, tasks run as well without
            problem = error
        finally:
            logging.disable(logging.NOTSET)
            source_utils.set_custom_source_root(None)
            Client._reset_instance()
            GlobalConfiguration._reset_instance()
            for name in own:
                del os.environ[name]
            os.environ.update(told)
    if problem is not None:
        logger.warning("Tasks will start more slowly: ZenML could not be preloaded.", exc_info=problem)


@cache
def activate_integrations() -> None:
    """Register what ZenML's integrations bring, once a process: it reads the metadata of a hundred packages."""
    from zenml.integrations.registry import integration_registry

    integration_registry.activate_integrations()


@cache
def know_installed_packages() -> None:
    """Have ZenML learn from the packages' own metadata what is installed, once a process.

    At each run and each step it otherwise starts `uv` and `pip`, of which an environment that `uv` made has
    neither: it warns, and records no packages. For each object of a library that it stores it reads the metadata
    of all packages again: 0.17 CPU-seconds a time with the 327 packages of this project.
    """
    from importlib.metadata import distributions, packages_distributions

    from zenml.environment import Environment
    from zenml.utils import source_utils

    owners = cache(packages_distributions)

    @cache
    def frozen() -> list[str]:
        return sorted({f"{found.name}=={found.version}" for found in distributions()}, key=str.lower)

    def package_of(module_name: str) -> str | None:
        names = owners().get(module_name.split(".", 1)[0], [])
        return names[0] if len(names) == 1 else None

    # ZenML offers no other way in: these are what it asks, under the names that it calls.
    Environment.get_python_packages = staticmethod(frozen)  # type: ignore[method-assign]
    source_utils._get_package_for_module = platform_first(package_of)


@cache
def activate_integrations_when_needed() -> None:
    """See to it that ZenML's integrations are activated as soon as one of their materializers is looked for.

    A snapshot names the materializers of annotated outputs, artifacts those of inputs, and both are imported by
    name. Only an output without annotation, or an artifact that a step saves by itself, is looked up by its type.
    Activating them all imports scikit-learn and scipy: 1.9 of a step process's 4.0 CPU-seconds were measured.
    """
    from zenml.materializers.materializer_registry import MaterializerRegistry, materializer_registry

    class Registry(MaterializerRegistry):
        def __getitem__(self, key: type[Any]) -> type[BaseMaterializer]:
            activate_integrations()
            return super().__getitem__(key)

    # The registry is one object that ZenML's modules have imported by name: it cannot be replaced, only taught.
    materializer_registry.__class__ = Registry
