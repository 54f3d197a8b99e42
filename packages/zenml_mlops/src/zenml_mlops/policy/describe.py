"""From ZenML's objects to the facts that policies judge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from zenml_airflow.contracts.provenance import platform_versions
from zenml_mlops.policy.facts import (
    ENVIRONMENT_LABEL,
    ComponentFacts,
    DeploymentFacts,
    ModelFacts,
    OutputFacts,
    PipelineFacts,
    StackFacts,
    StepFacts,
)
from zenml_mlops.policy.stack_facts import component_facts

if TYPE_CHECKING:
    from zenml import ArtifactConfig
    from zenml.config import ResourceSettings
    from zenml.config.pipeline_configurations import PipelineConfiguration
    from zenml.config.step_configurations import PartialArtifactConfiguration, PartialStepConfiguration
    from zenml.models import ComponentResponse, PipelineSnapshotResponse, StackResponse
    from zenml.pipelines.pipeline_definition import Pipeline

    _Annotations = Mapping[str, ArtifactConfig | None]

GUARD = "zenml_mlops.enforcement.run_start.check_run_start"
"""The run-start guard that a pipeline names as ``on_init``."""

DEPLOYMENT_KEY = "deployment"
"""Key of a snapshot's ``extra`` under which a deployment says what it was made from."""

LOCAL = "local"
"""Environment of a stack that nothing registered for one, where ZenML's store is a file on this machine."""

_TASK_KEY = "airflow"


def describe_pipeline(pipeline: Pipeline, defaults: Mapping[str, Any]) -> PipelineFacts:
    """Describe a prepared pipeline that is about to be deployed.

    Args:
        pipeline: The pipeline, after ``prepare``.
        defaults: What holds for a step that says nothing: ``timeout_seconds``, ``retries``.
    """
    steps = {name: invocation.step for name, invocation in pipeline.invocations.items()}
    configured = {name: step.configuration for name, step in steps.items()}
    # ZenML writes what an annotation says of an output into the configuration only when it compiles.
    annotated = {
        name: {key: signature.artifact_config for key, signature in step.entrypoint_definition.outputs.items()}
        for name, step in steps.items()
    }
    return _pipeline(pipeline.configuration, configured, defaults, annotated)


def describe_snapshot(snapshot: PipelineSnapshotResponse) -> tuple[PipelineFacts, DeploymentFacts]:
    """Describe a compiled pipeline, as ZenML has it: what really runs, whatever a manifest says.

    Raises:
        ValueError: If it was deployed with a version of the platform that recorded other facts.
    """
    configuration = snapshot.pipeline_configuration
    made: dict[str, Any] = configuration.extra.get(DEPLOYMENT_KEY, {})
    steps = {name: step.config for name, step in snapshot.step_configurations.items()}
    annotated = {
        name: {key: output.artifact_config for key, output in step.outputs.items()} for name, step in steps.items()
    }
    facts = _pipeline(configuration, steps, made.get("defaults", {}), annotated)
    recorded = {**made.get("facts", {}), "running": platform_versions()}
    try:
        return facts, DeploymentFacts(pipeline=facts.name, **recorded)
    except ValidationError as error:
        raise ValueError(
            f"The snapshot of {facts.name!r} was deployed with another version of the platform, which recorded "
            "other facts: deploy again with `mlops deploy`."
        ) from error


def describe_stack(stack: StackResponse, used_for: str) -> StackFacts:
    """Describe a registered stack."""
    return StackFacts(
        name=stack.name,
        environment=stack_environment(stack),
        used_for=used_for,
        components=tuple(
            _component(kind.value, component) for kind, models in stack.components.items() for component in models
        ),
    )


def stack_environment(stack: StackResponse) -> str | None:
    """The environment that a stack was registered for, as its labels say."""
    named = (stack.labels or {}).get(ENVIRONMENT_LABEL)
    return None if named is None else str(named)


def environment_of(stack: StackResponse) -> str:
    """The environment that a stack stands for.

    A stack without the label counts as ``local`` only where ZenML's own store is a file on this machine; on a
    server it counts as an environment that no policy knows, and there every policy is enforced.
    """
    from zenml.client import Client
    from zenml.enums import StoreType

    named = stack_environment(stack)
    if named is not None:
        return named
    return LOCAL if Client().zen_store.type == StoreType.SQL else "unknown"


def served_environments() -> set[str]:
    """The environments that ZenML's store has a stack of."""
    from zenml.client import Client

    stacks = Client().list_stacks(size=1000, hydrate=True).items
    return {named for stack in stacks if (named := stack_environment(stack)) is not None}


def _pipeline(
    configuration: PipelineConfiguration,
    steps: Mapping[str, PartialStepConfiguration],
    defaults: Mapping[str, Any],
    annotated: Mapping[str, _Annotations],
) -> PipelineFacts:
    models = {model.name: model for step in steps.values() if (model := step.model)}
    if configuration.model:
        models[configuration.model.name] = configuration.model
    guard = configuration.init_hook_source
    return PipelineFacts(
        name=configuration.name,
        labels=dict(configuration.extra),
        tags=_tags(configuration.tags),
        models=tuple(ModelFacts(name=name, tags=_tags(model.tags)) for name, model in models.items()),
        guarded=guard is not None and guard.import_path == GUARD,
        steps=tuple(_step(name, step, configuration, defaults, annotated[name]) for name, step in steps.items()),
    )


def _step(
    name: str,
    step: PartialStepConfiguration,
    pipeline: PipelineConfiguration,
    defaults: Mapping[str, Any],
    annotated: _Annotations,
) -> StepFacts:
    own: dict[str, Any] = (step.extra or {}).get(_TASK_KEY, {})
    cached = next((value for value in (step.enable_cache, pipeline.enable_cache) if value is not None), True)
    resources = _resources(step, pipeline)
    memory = resources.get_memory("KiB")
    return StepFacts(
        name=name,
        cached=cached,
        timeout_seconds=own.get("timeout_seconds", defaults.get("timeout_seconds")),
        retries=own.get("retries", defaults.get("retries")),
        cpu_count=resources.cpu_count,
        memory_bytes=None if memory is None else int(memory * 1024),
        gpu_count=resources.gpu_count,
        image=own.get("image"),
        gate=own.get("gate", False),
        outputs=tuple(_output(key, annotation, step.outputs.get(key)) for key, annotation in annotated.items()),
    )


def _resources(step: PartialStepConfiguration, pipeline: PipelineConfiguration) -> ResourceSettings:
    """What a step asks for: its own settings over those of its pipeline, which ZenML merges only later."""
    from zenml.config import ResourceSettings
    from zenml.config.constants import RESOURCE_SETTINGS_KEY

    asked: dict[str, Any] = {}
    for settings in (pipeline.settings, step.settings or {}):
        if RESOURCE_SETTINGS_KEY in settings:
            asked |= settings[RESOURCE_SETTINGS_KEY].model_dump(exclude_unset=True)
    return ResourceSettings.model_validate(asked)


def _output(
    name: str, declared: ArtifactConfig | None, stored: PartialArtifactConfiguration | None
) -> OutputFacts:
    return OutputFacts(
        name=(declared.name if declared else None) or name,
        artifact_type=declared.artifact_type.value if declared and declared.artifact_type else None,
        materializers=tuple(source.import_path for source in (stored and stored.materializer_source) or ()),
    )


def _component(kind: str, model: ComponentResponse) -> ComponentFacts:
    from zenml.stack import StackComponent

    local = bool(StackComponent.from_model(model).config.is_local)
    return component_facts(kind, model.name, model.flavor_name, model.configuration, local=local)


def _tags(tags: Any) -> tuple[str, ...]:
    return tuple(str(getattr(tag, "name", tag)) for tag in tags or ())
