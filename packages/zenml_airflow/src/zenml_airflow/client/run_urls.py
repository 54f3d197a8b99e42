"""Where people look at a run: in ZenML's dashboard and in MLflow.

Imports neither Airflow nor ZenML: the code that runs steps builds the URLs, and a step image has no Airflow.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

TRACKER_URL = "experiment_tracker_url"
TRACKER_RUN = "mlflow_run_id"
TRACKER_EXPERIMENT = "mlflow_experiment_id"
"""Keys under which ZenML's MLflow tracker records a step's MLflow run in the step's metadata."""


class LinkTarget(StrEnum):
    """Which system a link leads to; the key of the URL in what an operator returns."""

    ZENML = "zenml"
    MLFLOW = "mlflow"


def run_links(
    run_id: str,
    server_url: str | None,
    tracker: Mapping[str, Any] | None,
    *,
    tracker_ui: str | None = None,
) -> dict[str, str]:
    """URLs of a ZenML run, where it has any.

    Args:
        server_url: Address of the ZenML server; ``None`` for the local store, which has no dashboard.
        tracker: Metadata of a step that the MLflow tracker followed; ``None`` where none did.
        tracker_ui: Address of the MLflow server that people use, where steps write to its database directly.

    Returns:
        URL by :class:`LinkTarget`. No URL holds a user or a password, although a tracking URI may.
    """
    links: dict[str, str] = {}
    if server := server_link(server_url):
        # The one project that the dashboard of ZenML's open-source server shows.
        links[LinkTarget.ZENML.value] = f"{server}/projects/default/runs/{run_id}"
    tracker = tracker or {}
    base, run, experiment = (tracker.get(key) for key in (TRACKER_URL, TRACKER_RUN, TRACKER_EXPERIMENT))
    if (ui := server_link(tracker_ui or base)) and run and experiment:
        links[LinkTarget.MLFLOW.value] = f"{ui}/#/experiments/{experiment}/runs/{run}"
    return links


def mlflow_run_link(ui: str | None, run_id: str) -> dict[str, str]:
    """URL of an MLflow run of which only the id is known; MLflow finds the experiment by itself.

    Returns:
        URL by :class:`LinkTarget`; empty without an address that a browser can open.
    """
    base = server_link(ui)
    return {LinkTarget.MLFLOW.value: f"{base}/#/runs/{quote(run_id, safe='')}"} if base else {}


def server_link(url: Any) -> str | None:
    """The URL of a server that a browser can open, without user and password; ``None`` for anything else."""
    try:
        parts = urlsplit(str(url or ""))
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
