"""What ZenML remembers of the audit log: the heads that were recorded with runs and model versions."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from zenml_mlops.audit.entries import Head
from zenml_mlops.audit.recorder import HEAD_METADATA


def remembered_heads() -> dict[str, Head]:
    """Every head in ZenML's metadata, by the name of the run or model version that holds it."""
    from zenml.client import Client
    from zenml.utils.pagination_utils import depaginate_stream

    client = Client()
    wanted = {"run_metadata": f"{HEAD_METADATA}:contains:hash", "size": 200, "hydrate": True}
    found: dict[str, Head] = {}
    for run in depaginate_stream(client.list_pipeline_runs, **wanted):
        _add(found, f"ZenML run {run.name}", run.run_metadata.get(HEAD_METADATA))
    for version in depaginate_stream(client.list_model_versions, **wanted):
        name = f"model version {version.model.name}/{version.number}"
        _add(found, name, version.run_metadata.get(HEAD_METADATA))
    return found


def _add(found: dict[str, Head], where: str, value: Any) -> None:
    try:
        found[where] = Head.model_validate(value)
    except ValidationError:
        # Somebody's own metadata of the same name says nothing about the log.
        return
