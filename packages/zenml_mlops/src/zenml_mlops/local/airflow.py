"""What an environment's stack file asks of Airflow, for the services of one machine."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from zenml_mlops.environment.process import airflow_environment
from zenml_mlops.environment.stack_files import stack_file

if TYPE_CHECKING:
    from zenml_airflow.settings.project import Settings

GIT_PROVIDER = "airflow.providers.git"


class UnfitStackError(RuntimeError):
    """A stack file asks for what the services of one machine are not."""


def services_environment(settings: Settings) -> dict[str, str]:
    """Variables of the Airflow services: executor, default queue and DAG bundle are the stack file's.

    Raises:
        UnfitStackError: If the file asks for an executor or a bundle that cannot be had here.
        StackFileError: If the file is missing or breaks the schema.
    """
    from zenml_mlops.stacks.export import airflow_variables
    from zenml_mlops.stacks.schema import Executor, GitBundle

    file = stack_file(settings)
    name, asked = f"stacks/{settings.environment}.yaml", file.airflow.executor
    if asked is not Executor.LOCAL:
        raise UnfitStackError(
            f"{name} asks for {asked.value}, and the services of one machine run tasks with the "
            f"{Executor.LOCAL.value} alone: start {settings.environment} with docker-compose.yml or the values in "
            f"docker/kubernetes, or name {Executor.LOCAL.value} in airflow.executor."
        )
    if isinstance(file.airflow.bundle, GitBundle) and not _installed(GIT_PROVIDER):
        raise UnfitStackError(
            f"{name} takes DAG files from git, and Airflow's git provider is not installed here: install "
            "apache-airflow-providers-git, or name `kind: local` in airflow.bundle."
        )
    return {**airflow_environment(settings), **airflow_variables(file, str(settings.dags_dir))}


def import_pools(settings: Settings, environment: Mapping[str, str]) -> list[str]:
    """Create or change Airflow's pools as the stack file has them; return their names. None is deleted.

    Args:
        environment: Variables of the services, whose database exists.

    Raises:
        UnfitStackError: If Airflow refuses them.
    """
    from zenml_mlops.stacks.export import airflow_pools

    file = stack_file(settings)
    if not file.airflow.pools:
        return []
    path = settings.state_dir / "run" / "pools.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(airflow_pools(file), encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-m", "airflow", "pools", "import", str(path)],
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        said = (result.stderr or result.stdout).strip().splitlines()
        raise UnfitStackError(f"`airflow pools import` failed: {said[-1] if said else 'it said nothing'}")
    return sorted(file.airflow.pools)


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False
