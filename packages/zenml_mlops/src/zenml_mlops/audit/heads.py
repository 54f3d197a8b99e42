"""What ZenML remembers of the audit log: the heads that were recorded with runs and model versions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import ValidationError

from zenml_mlops.audit.entries import Head
from zenml_mlops.audit.recorder import HEAD_METADATA

_PAGE = 200
_RECORDED = f"{HEAD_METADATA}:contains:hash"


def remembered_heads() -> dict[str, Head]:
    """Every head in ZenML's metadata, by the name of the run or model version that holds it."""
    from zenml.client import Client

    client = Client()
    found: dict[str, Head] = {}
    for run in _all(client.list_pipeline_runs, run_metadata=_RECORDED):
        _add(found, f"ZenML run {run.name}", run.run_metadata.get(HEAD_METADATA))
    for version in _all(client.list_model_versions, run_metadata=_RECORDED):
        name = f"model version {version.model.name}/{version.number}"
        _add(found, name, version.run_metadata.get(HEAD_METADATA))
    return found


def _add(found: dict[str, Head], where: str, value: Any) -> None:
    try:
        found[where] = Head.model_validate(value)
    except ValidationError:
        # Somebody's own metadata of the same name says nothing about the log.
        return


def _all(lister: Callable[..., Any], **filters: Any) -> Iterator[Any]:
    page = 1
    while True:
        answer = lister(page=page, size=_PAGE, hydrate=True, **filters)
        yield from answer.items
        if page >= answer.total_pages:
            return
        page += 1
