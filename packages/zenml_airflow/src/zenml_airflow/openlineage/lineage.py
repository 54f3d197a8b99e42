"""What a task tells OpenLineage: which ZenML run it was, what it read, what it wrote.

The OpenLineage provider is imported inside the functions: where it is not installed nobody asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

LINEAGE_METADATA = "lineage"
"""Key of a run's metadata under which a step says what it read and wrote::

    {"inputs": [{"uri": "s3://landing/date=2026-01-05", "rows": 100, "sha256": "6e34…"}],
     "outputs": [{"uri": "s3://predictions/date=2026-01-05", "rows": 98, "sha256": "b0a1…"}],
     "model": "readmission_risk", "model_version": "3"}

A digest becomes the version of the dataset.
"""

FACET = "zenml_run"
"""Name of the run facet."""


def get_openlineage_facets_on_complete(task_instance: Any) -> OperatorLineage[Any, Any] | None:
    """The lineage of a task that has run steps.

    The provider asks in a process that it forked from the task's, where Airflow's API must not be called; so the
    operator's own record is read, and no XCom.

    Returns:
        Facets and datasets; ``None`` where the provider is absent or the task recorded nothing.
    """
    recorded = getattr(task_instance.task, "recorded", None) or {}
    # The provider asks after a failure too, when an operator may have recorded links alone.
    if (
        "run_id" not in recorded
        or find_spec("openlineage") is None
        or find_spec("airflow.providers.openlineage") is None
    ):
        return None
    from airflow.providers.openlineage.extractors import OperatorLineage

    said = recorded.get("metadata", {}).get(LINEAGE_METADATA) or {}
    return OperatorLineage(
        inputs=list(_inputs(said)),
        outputs=list(_outputs(said)),
        run_facets={FACET: _run_facet(task_instance.task, recorded, said)},
    )


def _run_facet(operator: Any, recorded: Mapping[str, Any], said: Mapping[str, Any]) -> Any:
    model, version = said.get("model"), said.get("model_version")
    return _facet_class()(
        zenmlRunId=recorded["run_id"],
        snapshotId=recorded.get("snapshot_id") or operator.snapshot_id,
        codeDigest=operator.code_digest,
        pipeline=operator.pipeline,
        steps=dict(recorded.get("steps", {})),
        modelName=model,
        modelVersion=None if version is None else str(version),
        rows={
            side: sum(item["rows"] for item in said.get(side, []) if isinstance(item.get("rows"), int))
            for side in ("inputs", "outputs")
            if said.get(side)
        },
    )


@cache
def _facet_class() -> Any:
    """The facet's class; its base is only there with the provider."""
    import attrs
    from openlineage.client.facet_v2 import RunFacet

    @attrs.define
    class ZenMLRunFacet(RunFacet):
        """The ZenML run of a task, and the code and model version it ran with."""

        zenmlRunId: str
        snapshotId: str
        codeDigest: str
        pipeline: str
        steps: dict[str, str]
        modelName: str | None
        modelVersion: str | None
        rows: dict[str, int]

        _additional_skip_redact = [
            "zenmlRunId",
            "snapshotId",
            "codeDigest",
            "pipeline",
            "modelName",
            "modelVersion",
        ]

    return ZenMLRunFacet


def _inputs(said: Mapping[str, Any]) -> Iterator[Any]:
    from openlineage.client.event_v2 import InputDataset

    for item in said.get("inputs", []):
        namespace, name = _dataset_name(item["uri"])
        yield InputDataset(namespace=namespace, name=name, facets=_version(item))


def _outputs(said: Mapping[str, Any]) -> Iterator[Any]:
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import output_statistics_output_dataset as statistics

    for item in said.get("outputs", []):
        namespace, name = _dataset_name(item["uri"])
        facets: dict[str, Any] = {}
        if "rows" in item:
            facets["outputStatistics"] = statistics.OutputStatisticsOutputDatasetFacet(rowCount=item["rows"])
        yield OutputDataset(namespace=namespace, name=name, facets=_version(item), outputFacets=facets)


def _version(item: Mapping[str, Any]) -> dict[str, Any]:
    """The standard facet for which content a dataset had."""
    from openlineage.client.facet_v2 import dataset_version_dataset

    if "sha256" not in item:
        return {}
    return {
        "version": dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=f"sha256:{item['sha256']}")
    }


def _dataset_name(uri: str) -> tuple[str, str]:
    """Namespace and name of a location, by OpenLineage's naming rules."""
    parts = urlsplit(uri)
    if parts.scheme in {"", "file"}:
        return "file", parts.path
    # A user or password of the URL is no part of a dataset's name.
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", parts.path.lstrip("/")
