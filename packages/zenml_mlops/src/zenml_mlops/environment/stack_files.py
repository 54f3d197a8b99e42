"""The stack file of an environment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from zenml_airflow.settings.project import Settings

if TYPE_CHECKING:
    from zenml_mlops.stacks.load import LoadedStack
    from zenml_mlops.stacks.schema import StackFile


def stack_path(settings: Settings) -> Path:
    """The environment's stack file."""
    return settings.project_root / "stacks" / f"{settings.environment}.yaml"


def stack_variables(settings: Settings) -> dict[str, str]:
    """What ``${…}`` stands for in a stack file."""
    return {"state_dir": str(settings.state_dir)}


def checked_stack(settings: Settings) -> LoadedStack:
    """The environment's stack file, found good by ZenML's own flavors.

    Raises:
        StackFileError: If anything is wrong with it.
    """
    from zenml_mlops.stacks.load import check_stack_file

    return check_stack_file(stack_path(settings), stack_variables(settings))


def stack_file(settings: Settings) -> StackFile:
    """The environment's stack file, read against its schema alone."""
    from zenml_mlops.stacks.load import read_stack_file

    return read_stack_file(stack_path(settings), stack_variables(settings)).file


def stack_id(settings: Settings, *, scheduled: bool, file: StackFile | None = None) -> UUID:
    """Id of the environment's stack: the one that Airflow runs, or the one without Airflow.

    Args:
        scheduled: Which of the two.
        file: The stack file, if it was read before.

    Raises:
        ValueError: If nothing runs without Airflow in this environment.
    """
    from zenml.client import Client

    file = file or stack_file(settings)
    name = file.scheduled if scheduled else file.inline
    if name is None:
        raise ValueError(
            f"Environment {settings.environment!r} runs nothing without Airflow: its stack file names no "
            "inline stack. Deploy with `mlops deploy` and trigger the DAG, or run it in another environment."
        )
    return Client().get_stack(name, allow_name_prefix_match=False).id
