"""Place a deployed ZenML pipeline in a DAG file with one line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import TaskGroup

from zenml_airflow.enums import Granularity
from zenml_airflow.manifest import Manifest, read_manifest
from zenml_airflow.operators import ZenMLStepsOperator
from zenml_airflow.settings import Settings, load_settings

if TYPE_CHECKING:
    from airflow.sdk import Asset


class ZenMLTaskGroup(TaskGroup):
    """A task group that holds the tasks of a deployed pipeline.

    The tasks come from the manifest that ``mlops deploy`` wrote; a missing or damaged manifest is an import
    error of the DAG file.

    Args:
        pipeline: Name of the pipeline.
        group_id: Id of the group; the pipeline's name by default.
        granularity: How many tasks the pipeline becomes; the environment's choice by default.
        outlets: Assets that the last tasks of the pipeline update.
        settings: Settings of the environment; those that the process was started for by default.

    Raises:
        ManifestError: If the pipeline was not deployed, or its manifest is damaged or of another schema.
    """

    def __init__(
        self,
        pipeline: str,
        *,
        group_id: str | None = None,
        granularity: Granularity | str | None = None,
        outlets: Sequence[Asset] = (),
        settings: Settings | None = None,
        **kwargs: Any,
    ) -> None:
        settings = settings or load_settings()
        manifest = read_manifest(settings.manifests_dir, pipeline)
        chosen = Granularity(granularity or settings.airflow.granularity)
        kwargs.setdefault("tooltip", f"ZenML snapshot {manifest.snapshot_name}")
        super().__init__(group_id=group_id or pipeline, **kwargs)
        place = _place_steps if chosen is Granularity.PER_STEP else _place_pipeline
        with self:
            place(manifest, str(self.group_id), list(outlets))


def _place_steps(manifest: Manifest, group_id: str, outlets: list[Asset]) -> None:
    waited_for = {upstream for step in manifest.steps for upstream in step.upstream}
    tasks = {}
    for step in manifest.steps:
        tasks[step.name] = ZenMLStepsOperator(
            task_id=step.name,
            steps=[step.name],
            outlets=[] if step.name in waited_for else outlets,
            retries=step.retries,
            retry_delay=timedelta(seconds=step.retry_delay_seconds),
            execution_timeout=timedelta(seconds=step.timeout_seconds),
            **_common(manifest, group_id),
        )
    for step in manifest.steps:
        for upstream in step.upstream:
            tasks[upstream] >> tasks[step.name]


def _place_pipeline(manifest: Manifest, group_id: str, outlets: list[Asset]) -> None:
    ZenMLStepsOperator(
        task_id="run",
        steps=[step.name for step in manifest.steps],
        outlets=outlets,
        # A step that must not be tried again forbids it for the task that holds it.
        retries=min(step.retries for step in manifest.steps),
        retry_delay=timedelta(seconds=max(step.retry_delay_seconds for step in manifest.steps)),
        execution_timeout=timedelta(seconds=sum(step.timeout_seconds for step in manifest.steps)),
        **_common(manifest, group_id),
    )


def _common(manifest: Manifest, group_id: str) -> dict[str, Any]:
    return {
        "group_id": group_id,
        "pipeline": manifest.pipeline,
        "snapshot_id": manifest.snapshot_id,
        "code_digest": manifest.code.digest,
        "launcher": manifest.steps[0].operator,
        "environment": manifest.environment,
        "retry_exponential_backoff": 2.0,
    }
