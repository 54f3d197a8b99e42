"""Place a deployed ZenML pipeline in a DAG file with one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import TaskGroup

from zenml_airflow.contracts.enums import Granularity, Launcher
from zenml_airflow.dags import current_settings
from zenml_airflow.manifest.launchers import DockerOptions, KubernetesOptions, LauncherOptions, SubprocessOptions
from zenml_airflow.manifest.manifest import Manifest, ManifestError, manifest_path, pipeline_tag, read_manifest
from zenml_airflow.manifest.plan import TaskPlan, plan_tasks
from zenml_airflow.operators.local import ZenMLInProcessOperator, ZenMLSubprocessOperator
from zenml_airflow.operators.shards import ZenMLShardsOperator
from zenml_airflow.operators.steps import ZenMLSteps
from zenml_airflow.settings.project import Settings

if TYPE_CHECKING:
    from airflow.sdk import Asset


class ZenMLTaskGroup(TaskGroup):
    """A task group that holds the tasks of a deployed pipeline, or of a part of it.

    Its DAG gets the tag ``pipeline:NAME``, by which a pipeline's DAG is found.

    The tasks come from the manifest that ``mlops deploy`` wrote; a missing, stale or damaged manifest is an import
    error of the DAG file.

    Args:
        group_id: Id of the group; the pipeline's name by default.
        granularity: How many tasks the pipeline becomes; the environment's choice by default.
        launcher: Where the steps run; the environment's choice by default.
        launcher_options: Options of the launcher, laid over those of the environment.
        select: Part of the pipeline: ``"load_partition+"`` is a step and what follows, ``"+train"`` a step and
            what it waits for, ``"train evaluate"`` two steps. What is left out is recorded as skipped; what a
            selected step needs must have run in the same DAG run, in another group.
        manifest: Manifest file of another folder or bundle; by default the environment's own.
        connection: Airflow connection of the ZenML server; the environment's by default.
        outlets: Assets that the last tasks of the pipeline update.
        sharded: Whether steps that can be cut into shards are; the environment's choice by default.
        run_params: Parameters of the pipeline's run, which may be templates; those of the DAG run by default.
        settings: Settings of the environment; those that the process was started for by default.

    Raises:
        ManifestError: If the pipeline was not deployed, or its manifest is stale, damaged or of another schema.
        PlanError: If ``select`` names no step, one task would need two images, or shards have no place.
        LauncherError: If an option has no effect with the launcher.
    """

    def __init__(
        self,
        pipeline: str,
        *,
        group_id: str | None = None,
        granularity: Granularity | str | None = None,
        launcher: Launcher | str | None = None,
        launcher_options: Mapping[str, Any] | None = None,
        select: str | Sequence[str] | None = None,
        manifest: Path | str | None = None,
        connection: str | None = None,
        outlets: Sequence[Asset] = (),
        sharded: bool | None = None,
        run_params: Mapping[str, Any] | None = None,
        settings: Settings | None = None,
        **kwargs: Any,
    ) -> None:
        settings = settings or current_settings()
        own = manifest_path(settings.manifests_dir, pipeline)
        found = read_manifest(Path(manifest) if manifest else own, pipeline)
        _check_current(found, settings, own=manifest is None)
        where = Launcher(launcher or settings.airflow.launcher)
        options = settings.airflow.options_of(where, launcher_options)
        plan = plan_tasks(
            found,
            granularity=Granularity(granularity or settings.airflow.granularity),
            launcher=where,
            select=select,
            sharded=settings.airflow.sharded if sharded is None else sharded,
        )
        kwargs.setdefault("tooltip", f"ZenML snapshot {found.snapshot_name}")
        super().__init__(group_id=group_id or pipeline, **kwargs)
        self.dag.tags.add(pipeline_tag(pipeline))
        with self:
            self._place(plan, found, options, settings, connection, list(outlets), run_params)

    def _place(
        self,
        plan: tuple[TaskPlan, ...],
        manifest: Manifest,
        options: LauncherOptions,
        settings: Settings,
        connection: str | None,
        outlets: list[Asset],
        run_params: Mapping[str, Any] | None,
    ) -> None:
        waited_for = {upstream for task in plan if not task.observer for upstream in task.upstream}
        placed = [step.name for task in plan for step in task.steps]
        tasks: dict[str, ZenMLSteps] = {}
        for task in plan:
            kind, arguments = _operator(
                task,
                manifest,
                options,
                settings,
                group_id=str(self.group_id),
                placed=placed,
                zenml_conn_id=connection or settings.airflow.connection,
                run_params=run_params,
            )
            last = [] if task.observer or task.task_id in waited_for else outlets
            tasks[task.task_id] = kind(task_id=task.task_id, outlets=last, **arguments)
            for upstream in task.upstream:
                tasks[upstream] >> tasks[task.task_id]
            if task.in_shards:
                # Each task hands on what the run says of shards; the last one before the step has waited for all.
                before = tasks[task.upstream[-1]]
                numbers = ZenMLShardsOperator(
                    task_id=f"{task.task_id}_plan", step=task.steps[0].name, counted_by=before.task_id
                )
                shards = kind.partial(task_id=f"{task.task_id}_shards", **arguments).expand(shard=numbers.output)
                for upstream in task.upstream:
                    tasks[upstream] >> numbers
                shards >> tasks[task.task_id]


def _check_current(manifest: Manifest, settings: Settings, *, own: bool) -> None:
    """Check that a manifest says what the environment says now.

    Args:
        own: Whether it lies in the environment's own folder; the configuration behind another is not known here.

    Raises:
        ManifestError: If it is of another environment, or the configuration was changed since.
    """
    redeploy = f"Deploy again: `mlops deploy {manifest.pipeline} --env {settings.environment}`."
    if manifest.environment != settings.environment:
        raise ManifestError(
            f"The manifest of {manifest.pipeline!r} is of environment {manifest.environment!r}, this is "
            f"{settings.environment!r}. {redeploy}"
        )
    if own and manifest.config_digest != settings.deployed_digest(manifest.pipeline):
        raise ManifestError(
            f"The manifest of {manifest.pipeline!r} is stale: configs/ was changed after it was deployed, and no "
            f"snapshot has the change. {redeploy}"
        )


def _operator(
    task: TaskPlan, manifest: Manifest, options: LauncherOptions, settings: Settings, **kwargs: Any
) -> tuple[type[ZenMLSteps], dict[str, Any]]:
    """The class of a task's operator and its arguments but for the name."""
    common = {
        "pipeline": manifest.pipeline,
        "snapshot_id": manifest.snapshot_id,
        "code_digest": manifest.code.digest,
        "steps": [step.name for step in task.steps],
        "environment_name": manifest.environment,
        "stack_name": manifest.stack.name,
        "verdicts": manifest.policies,
        "retries": task.retries,
        "retry_delay": timedelta(seconds=task.retry_delay_seconds),
        "retry_exponential_backoff": 2.0,
        "execution_timeout": timedelta(seconds=task.timeout_seconds),
        **kwargs,
    }
    if isinstance(options, SubprocessOptions):
        return ZenMLSubprocessOperator, {**common, "options": options}
    # The providers are imported where they are used: an Airflow image need not have both.
    if isinstance(options, DockerOptions):
        from zenml_airflow.operators.docker import ZenMLDockerOperator

        return ZenMLDockerOperator, {
            **common,
            "options": options,
            "plan": task,
            "default_image": manifest.image_digest,
        }
    if isinstance(options, KubernetesOptions):
        from zenml_airflow.operators.kubernetes import ZenMLKubernetesOperator

        return ZenMLKubernetesOperator, {
            **common,
            "options": options,
            "plan": task,
            "default_image": manifest.image_digest,
            "project_root": settings.project_root,
        }
    return ZenMLInProcessOperator, common
