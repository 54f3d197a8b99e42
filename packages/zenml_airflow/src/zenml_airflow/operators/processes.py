"""What the process of a task's steps is given, and what its end means."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zenml_airflow.settings.project import Settings


def server_environment(zenml_conn_id: str | None, state_dir: Path | None = None) -> dict[str, str]:
    """Variables that point ZenML at the server of a connection; none for the local store.

    Args:
        state_dir: Where the worker itself runs the steps, the environment's state folder: ZenML writes the
            server's address into its configuration, which must not be the one that names the local store.
    """
    if zenml_conn_id is None:
        return {}
    from zenml_airflow.hooks.zenml import ZenMLHook

    own = {"ZENML_CONFIG_PATH": str(state_dir / f"zenml-{zenml_conn_id}")} if state_dir else {}
    return {**ZenMLHook(zenml_conn_id).get_environment(), **own}


def enter_zenml(settings: Settings) -> None:
    """Point ZenML, in this process, at the server of the environment; at the local store where it names none."""
    os.environ.update(server_environment(settings.airflow.connection, settings.state_dir))


def step_environment() -> dict[str, str]:
    """Variables of the worker without Airflow's own: a step needs no key of Airflow's, and must not have one."""
    return {key: value for key, value in os.environ.items() if not key.lstrip("_").startswith("AIRFLOW")}


def describe_exit(code: int) -> str:
    """Say what an exit code means."""
    if code < 0:
        return f"signal {signal.Signals(-code).name}"
    if code > 128 and code - 128 in {signal.SIGTERM, signal.SIGKILL}:
        return f"signal {signal.Signals(code - 128).name}"
    return f"exit code {code}"
