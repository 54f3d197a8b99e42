"""Rules about pipelines and about what is deployed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatch

from pydantic import Field

from zenml_mlops.policy.facts import DeploymentFacts, PipelineFacts
from zenml_mlops.policy.rules.registry import NoParameters, Parameters, rule

_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_UNNAMED = re.compile(r"output(_\d+)?$")
MODEL_ARTIFACT = "ModelArtifact"
"""ZenML's type of an artifact that is a model."""


class LabelParameters(Parameters):
    """Labels that must be there, and the values that some of them may have."""

    required: tuple[str, ...]
    allowed: dict[str, tuple[str, ...]] = {}


@rule
def pipeline_labels(facts: PipelineFacts, parameters: LabelParameters) -> Iterator[str]:
    """A pipeline says who owns it, what for, and how its data is classified."""
    for label in parameters.required:
        if not str(facts.labels.get(label) or "").strip():
            yield f"it has no {label}: add {label!r} to the pipeline's extra"
    for label, values in parameters.allowed.items():
        found = facts.labels.get(label)
        if found and found not in values:
            yield f"its {label} is {found!r}; allowed: {list(values)}"


class TagParameters(Parameters):
    """Tags, as ``prefix:`` or whole, that each model of a pipeline and the pipeline itself must have."""

    pipeline: tuple[str, ...] = ()
    model: tuple[str, ...] = ()


@rule
def required_tags(facts: PipelineFacts, parameters: TagParameters) -> Iterator[str]:
    """A pipeline and its models can be found by their tags."""
    for wanted in parameters.pipeline:
        if not any(tag.startswith(wanted) for tag in facts.tags):
            yield f"it has no tag {wanted!r}"
    for model in facts.models:
        for wanted in parameters.model:
            if not any(tag.startswith(wanted) for tag in model.tags):
                yield f"its model {model.name!r} has no tag {wanted!r}"


class NameParameters(Parameters):
    """Regular expressions that whole names must match."""

    pipeline: str
    step: str
    model: str


@rule
def names_match(facts: PipelineFacts, parameters: NameParameters) -> Iterator[str]:
    """Names are the same everywhere: in ZenML, in Airflow, in paths and in metrics."""
    named = [
        ("the pipeline's name", facts.name, parameters.pipeline),
        *(("the step's name", step.name, parameters.step) for step in facts.steps),
        *(("the model's name", model.name, parameters.model) for model in facts.models),
    ]
    for what, name, pattern in named:
        if not re.fullmatch(pattern, name):
            yield f"{what} {name!r} does not match {pattern}"


class ModelArtifactParameters(Parameters):
    """Globs of the materializers that store models, and of those that are safe to load."""

    model_materializers: tuple[str, ...]
    allowed_materializers: tuple[str, ...]


@rule
def model_artifacts(facts: PipelineFacts, parameters: ModelArtifactParameters) -> Iterator[str]:
    """A model artifact is typed, named, and stored in a format that runs no code when it is loaded."""
    for step in facts.steps:
        for output in step.outputs:
            stored_as_model = any(
                _among(source, parameters.model_materializers) for source in output.materializers
            )
            if output.artifact_type != MODEL_ARTIFACT and not stored_as_model:
                continue
            where = f"output {output.name!r} of step {step.name!r}"
            if output.artifact_type != MODEL_ARTIFACT:
                yield f"{where} is stored as a model, but not declared as one (artifact_type=ArtifactType.MODEL)"
            if _UNNAMED.fullmatch(output.name):
                yield f"{where} is a model without a name: annotate the step's output"
            unsafe = [s for s in output.materializers if not _among(s, parameters.allowed_materializers)]
            if unsafe or not output.materializers:
                stored = unsafe[0] if unsafe else "ZenML's default"
                yield f"{where} is stored by {stored}; allowed: {list(parameters.allowed_materializers)}"


class StepLimitParameters(Parameters):
    """Bounds of a step's run time (seconds) and of its retries."""

    max_timeout_seconds: int = Field(gt=0)
    max_retries: int = Field(ge=0)
    max_gate_retries: int = Field(ge=0)


@rule
def step_limits(facts: PipelineFacts, parameters: StepLimitParameters) -> Iterator[str]:
    """Each step has a time limit and a number of retries, so that none hangs or repeats for ever."""
    for step in facts.steps:
        if step.timeout_seconds is None:
            yield f"step {step.name!r} has no time limit"
        elif step.timeout_seconds > parameters.max_timeout_seconds:
            longest = parameters.max_timeout_seconds
            yield f"step {step.name!r} may run {step.timeout_seconds} s, at most {longest} s"
        most = parameters.max_gate_retries if step.gate else parameters.max_retries
        kind = "gate" if step.gate else "step"
        if step.retries is None:
            yield f"step {step.name!r} does not set retries"
        elif step.retries > most:
            yield f"{kind} {step.name!r} is retried {step.retries} times, at most {most}"


class ResourceParameters(Parameters):
    """The most that one step may ask for: CPUs, memory in bytes, GPUs."""

    max_cpu_count: float = Field(gt=0)
    max_memory_bytes: int = Field(gt=0)
    max_gpu_count: int = Field(ge=0)


@rule
def resource_limits(facts: PipelineFacts, parameters: ResourceParameters) -> Iterator[str]:
    """No step asks for more than a node of the environment has."""
    for step in facts.steps:
        asked = (
            ("CPUs", step.cpu_count, parameters.max_cpu_count),
            ("bytes of memory", step.memory_bytes, parameters.max_memory_bytes),
            ("GPUs", step.gpu_count, parameters.max_gpu_count),
        )
        for what, wanted, most in asked:
            if wanted is not None and wanted > most:
                yield f"step {step.name!r} asks for {wanted:g} {what}, at most {most:g}"


class CacheParameters(Parameters):
    """Tags of the pipelines whose steps must not be cached."""

    pipeline_tags: tuple[str, ...]


@rule
def uncached_scoring(facts: PipelineFacts, parameters: CacheParameters) -> Iterator[str]:
    """Scoring is never cached: the same parameters mean other rows on another day."""
    if set(facts.tags) & set(parameters.pipeline_tags):
        for step in facts.steps:
            if step.cached:
                yield f"step {step.name!r} may be cached: set enable_cache=False on the step"


@rule
def guarded_start(facts: PipelineFacts, _parameters: NoParameters) -> Iterator[str]:
    """ZenML itself asks the policies before the first step, however the run was started."""
    if not facts.guarded:
        yield "it does not name the run-start guard: add on_init=check_run_start to the pipeline"


@rule
def step_images_by_digest(facts: PipelineFacts, _parameters: NoParameters) -> Iterator[str]:
    """An image that a step names is named by digest: a tag can be moved."""
    for step in facts.steps:
        if step.image is not None and not _DIGEST.search(step.image):
            yield f"step {step.name!r} names its image without a digest (name@sha256:…): {step.image}"


@rule
def image_by_digest(facts: DeploymentFacts, _parameters: NoParameters) -> Iterator[str]:
    """The image that steps run in is named by digest: a tag can be moved."""
    if facts.needs_image and facts.image is None:
        yield "the launcher starts containers, and no image is configured"
    elif facts.image is not None and not _DIGEST.search(facts.image):
        yield f"its image is named without a digest (name@sha256:…): {facts.image}"


@rule
def clean_commit(facts: DeploymentFacts, _parameters: NoParameters) -> Iterator[str]:
    """What runs can be found in git."""
    if facts.commit is None:
        yield "it is deployed from outside a Git repository"
    elif facts.dirty is not False:
        yield f"the checkout differs from commit {facts.commit[:12]}: commit or stash the changes"


@rule
def lock_unchanged(facts: DeploymentFacts, _parameters: NoParameters) -> Iterator[str]:
    """The dependencies of the image are those of the lock beside the code."""
    if facts.lock is None:
        yield "there is no dependency lock (uv.lock) beside the code"
    elif facts.needs_image and facts.image_lock_digest is None:
        yield "the image does not say which dependency lock it was built from: set image_lock_digest"
    elif facts.image_lock_digest is not None and facts.image_lock_digest != facts.lock:
        yield (
            f"the image was built from dependency lock {facts.image_lock_digest[:12]}, the checkout has "
            f"{facts.lock[:12]}: build the image again"
        )


@rule
def platform_unchanged(facts: DeploymentFacts, _parameters: NoParameters) -> Iterator[str]:
    """The platform that runs is the one that the deployment was made, and judged, with."""
    for name in sorted(facts.platform.keys() | facts.running.keys()):
        made, running = facts.platform.get(name), facts.running.get(name)
        if made != running:
            yield (
                f"it was deployed with {name} {made or 'missing'}, and {running or 'none'} is installed here: "
                "deploy again, or run it where that version is"
            )


def _among(name: str, globs: tuple[str, ...]) -> bool:
    return any(fnmatch(name, glob) for glob in globs)
