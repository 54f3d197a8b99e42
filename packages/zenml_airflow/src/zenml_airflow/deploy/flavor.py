"""The ZenML orchestrator flavor ``zenml_airflow``: pipelines that Airflow runs from a manifest.

The stock flavor ships a DAG file of its own beside each submission and leaves a placeholder run behind that
the next DAG run adopts. This one never submits: a deployment compiles a snapshot, writes a manifest, and
Airflow's own DAG files place it. It imports where Airflow is not installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, cast

from pydantic import Field
from zenml.integrations.airflow.flavors.airflow_orchestrator_flavor import (  # noqa: TID253
    AirflowOrchestratorConfig,
    AirflowOrchestratorFlavor,
)
from zenml.integrations.airflow.orchestrators.airflow_orchestrator import AirflowOrchestrator  # noqa: TID253
from zenml.stack import StackValidator  # noqa: TID253

from zenml_airflow.context import get_run_context
from zenml_airflow.contracts.enums import Launcher
from zenml_airflow.contracts.frozen import Frozen
from zenml_airflow.manifest.launchers import ByDigest
from zenml_airflow.manifest.manifest import SCHEMA_VERSION, Deployment, Manifest, Resources, StackRef, StepSpec

if TYPE_CHECKING:
    from zenml.config.build_configuration import BuildConfiguration
    from zenml.config.step_configurations import Step
    from zenml.models import PipelineSnapshotBase, PipelineSnapshotResponse
    from zenml.stack import Stack

FLAVOR_NAME = "zenml_airflow"
STEP_OPTIONS_KEY = "airflow"
"""Key of a step's ``extra`` that holds its :class:`StepOptions`."""


class StepOptions(Frozen):
    """What a step may say about its Airflow task, under ``extra={"airflow": {...}}``.

    Attributes:
        shards: ``module:function`` that works on one shard of the step, called with ``shard``, ``run_id``, and the
            step's inputs and parameters; it hands on what it did through the storage, and the step gathers it.
        observer: Whether the step only observes the pipeline, and is no part of what it is for: it gets a
            task of its own, and the assets of the pipeline do not wait for it.
    """

    retries: int | None = Field(default=None, ge=0, le=10)
    retry_delay_seconds: int | None = Field(default=None, ge=0)
    timeout_seconds: int | None = Field(default=None, gt=0)
    image: ByDigest | None = None
    gate: bool = False
    shards: str | None = Field(default=None, pattern=r"^[\w.]+:\w+$")
    observer: bool = False


class TaskDefaults(Frozen):
    """What holds for a step that says nothing about its Airflow task."""

    launcher: Launcher
    retries: int
    retry_delay_seconds: int
    timeout_seconds: int

    def retries_of(self, options: StepOptions) -> int:
        """How often the task of a step is tried again."""
        return self.retries if options.retries is None else options.retries


class ManifestAirflowOrchestratorConfig(AirflowOrchestratorConfig):
    """Configuration of the flavor."""

    @property
    def handles_step_retries(self) -> bool:
        """Airflow retries the task; ZenML must not retry inside of it."""
        return True


class ManifestAirflowOrchestrator(AirflowOrchestrator):
    """Compiles pipelines to manifests and runs none by itself."""

    @property
    def config(self) -> ManifestAirflowOrchestratorConfig:
        """The typed configuration."""
        return cast(ManifestAirflowOrchestratorConfig, self._config)

    @property
    def validator(self) -> StackValidator | None:
        """Check that a stack whose workers run elsewhere keeps nothing on one machine.

        The stock orchestrator also demands a container registry and an image builder, to build images with; here
        images are made beforehand, and workers may run the steps themselves.
        """
        if self.config.local:
            return None
        return StackValidator(custom_validation_function=_keeps_nothing_local)

    def get_docker_builds(self, snapshot: PipelineSnapshotBase) -> list[BuildConfiguration]:  # noqa: ARG002
        """Ask for no build: images are made beforehand and named by digest."""
        return []

    def get_orchestrator_run_id(self) -> str:
        """Return the identity of the run that this process works for."""
        return get_run_context().orchestrator_run_id

    def submit_pipeline(self, *args: Any, **kwargs: Any) -> NoReturn:  # noqa: ARG002
        """Refuse: Airflow starts the runs of this stack.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError(
            f"The stack's orchestrator {self.name!r} accepts no submissions: Airflow schedules its runs. Deploy "
            "the pipeline with `mlops deploy` and trigger its DAG, or run it on the local stack with `mlops run`."
        )

    @staticmethod
    def build_manifest(snapshot: PipelineSnapshotResponse, deployment: Deployment) -> Manifest:
        """Describe a compiled snapshot for Airflow."""
        defaults = TaskDefaults.model_validate(deployment.defaults)
        stack = snapshot.stack
        if stack is None:
            raise RuntimeError(f"Snapshot {snapshot.id} has no stack: it was deleted. Deploy again.")
        return Manifest(
            schema_version=SCHEMA_VERSION,
            environment=deployment.environment,
            pipeline=snapshot.pipeline_configuration.name,
            snapshot_id=str(snapshot.id),
            snapshot_name=snapshot.name or "",
            config_digest=deployment.config_digest,
            code=deployment.code,
            image_digest=deployment.image,
            stack=StackRef(
                name=stack.name,
                components={
                    kind.value: models[0].flavor_name for kind, models in stack.components.items() if models
                },
            ),
            policies=deployment.policies,
            steps=tuple(_step_spec(name, step, defaults) for name, step in snapshot.step_configurations.items()),
        ).sealed()


def _keeps_nothing_local(stack: Stack) -> tuple[bool, str]:
    local = sorted(f"{part.type.value} {part.name!r}" for part in stack.all_components if part.config.is_local)
    return not local, (
        f"Workers of the stack {stack.name!r} run on other machines, where {', '.join(local)} cannot be reached: "
        "use remote components, or set `local: true` on the orchestrator where one machine runs everything."
    )


class ManifestAirflowOrchestratorFlavor(AirflowOrchestratorFlavor):
    """Registers the orchestrator with ZenML."""

    @property
    def name(self) -> str:
        """Name under which stacks refer to the flavor."""
        return FLAVOR_NAME

    @property
    def config_class(self) -> type[ManifestAirflowOrchestratorConfig]:
        """Class of the configuration."""
        return ManifestAirflowOrchestratorConfig

    @property
    def implementation_class(self) -> type[ManifestAirflowOrchestrator]:
        """Class of the orchestrator."""
        return ManifestAirflowOrchestrator


def step_options(extra: dict[str, Any]) -> StepOptions:
    """Read what the ``extra`` of a step says about its Airflow task."""
    return StepOptions.model_validate(extra.get(STEP_OPTIONS_KEY, {}))


def _step_spec(name: str, step: Step, defaults: TaskDefaults) -> StepSpec:
    options = step_options(step.config.extra)
    settings = step.config.resource_settings
    delay = options.retry_delay_seconds
    return StepSpec(
        name=name,
        upstream=tuple(sorted(step.spec.upstream_steps)),
        resources=Resources(cpu_count=settings.cpu_count, memory=settings.memory, gpu_count=settings.gpu_count),
        image=options.image,
        operator=defaults.launcher,
        timeout_seconds=options.timeout_seconds or defaults.timeout_seconds,
        retries=defaults.retries_of(options),
        retry_delay_seconds=defaults.retry_delay_seconds if delay is None else delay,
        gate=options.gate,
        sharded=options.shards is not None,
        observer=options.observer,
    )
