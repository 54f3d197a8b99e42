"""The frozen descriptions that policies judge: plain facts, gathered once, so that a rule is a pure function."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from zenml_airflow.contracts.frozen import Frozen
from zenml_airflow.contracts.provenance import Provenance

ENVIRONMENT_LABEL = "environment"
"""Label of a ZenML stack that names the environment it was registered for."""


class Scope(StrEnum):
    """What a policy is about."""

    PIPELINE = "pipeline"
    STACK = "stack"
    DEPLOYMENT = "deployment"
    DAG = "dag"
    TASK = "task"
    MODEL_VERSION = "model_version"
    BUNDLE = "bundle"


class OutputFacts(Frozen):
    """An output of a step.

    Attributes:
        artifact_type: Type that the step declares or its materializer stands for, such as ``ModelArtifact``.
        materializers: Sources of the materializers that store it; empty where ZenML picks one.
    """

    name: str
    artifact_type: str | None = None
    materializers: tuple[str, ...] = ()


class StepFacts(Frozen):
    """A step of a pipeline.

    Attributes:
        timeout_seconds: Limit of its run time, its own or the environment's; ``None`` without one.
        retries: How often it is tried again; ``None`` where nothing says.
    """

    name: str
    cached: bool
    timeout_seconds: int | None = None
    retries: int | None = None
    cpu_count: float | None = None
    memory_bytes: int | None = None
    gpu_count: int | None = None
    image: str | None = None
    gate: bool = False
    outputs: tuple[OutputFacts, ...] = ()


class ModelFacts(Frozen):
    """A model that a pipeline writes versions of."""

    name: str
    tags: tuple[str, ...] = ()


class PipelineFacts(Frozen):
    """A pipeline as it is about to be deployed or run.

    Attributes:
        labels: What it says of itself under ``extra``: owner, purpose, data classification.
        guarded: Whether ZenML calls the run-start guard before its first step.
    """

    name: str
    labels: dict[str, Any] = {}
    tags: tuple[str, ...] = ()
    models: tuple[ModelFacts, ...] = ()
    guarded: bool = False
    steps: tuple[StepFacts, ...]


class ComponentFacts(Frozen):
    """A component of a ZenML stack.

    Attributes:
        kind: Type of the component, such as ``artifact_store``.
        local: Whether it keeps its state on one machine.
        encrypted: Whether the store encrypts at rest; ``None`` where its configuration does not say.
    """

    kind: str
    name: str
    flavor: str
    local: bool = False
    location: str | None = None
    encrypted: bool | None = None
    region: str | None = None


class StackFacts(Frozen):
    """A ZenML stack.

    Attributes:
        environment: The environment that it was registered for; ``None`` where its labels do not say.
        used_for: The environment that somebody wants to use it for.
    """

    name: str
    environment: str | None = None
    used_for: str
    components: tuple[ComponentFacts, ...]


class DeploymentFacts(Provenance):
    """What is deployed, from which state of the code, under which platform; further attributes as of provenance.

    Attributes:
        needs_image: Whether the launcher starts a container.
        image_lock_digest: sha256 of the lock that the image was built from, as its label says.
        running: Version of each package of the platform that is installed where this is judged.
    """

    pipeline: str
    needs_image: bool = False
    image_lock_digest: str | None = None
    running: dict[str, str] = Field(default_factory=dict)


class TaskFacts(Frozen):
    """A task of a DAG, as it was parsed or as it was stored.

    Attributes:
        name: Task id.
        operator: Qualified name of the operator's class.
        limit_seconds: Limit of its run time or, for a sensor, of its wait; ``None`` without one.
        limit_known: Whether no ``limit_seconds`` means no limit; Airflow stores a sensor without that of its wait.
        text: The templated texts of the task, which could name a command.
    """

    dag: str
    name: str
    operator: str
    pool: str = "default_pool"
    limit_seconds: float | None = None
    limit_known: bool = True
    text: str = ""


class DagFacts(Frozen):
    """A DAG as Airflow has parsed it.

    Attributes:
        name: DAG id.
        owner: Owners, comma-separated, as Airflow shows them.
        limits_runs: Whether the DAG file itself says ``max_active_runs``.
        states_catchup: Whether the DAG file itself says ``catchup``.
        failure_callback: Whether the DAG, or each of its tasks, has a callback for failures.
        interval_seconds: Shortest time between two of the next runs; ``None`` without a schedule in time.
    """

    name: str
    owner: str
    tags: tuple[str, ...] = ()
    max_active_runs: int
    limits_runs: bool
    states_catchup: bool
    failure_callback: bool
    schedule: str | None = None
    interval_seconds: float | None = None


class ModelVersionFacts(Frozen):
    """A model version that somebody wants to promote.

    Attributes:
        run_status: Status of the run that made it; ``None`` if ZenML knows no such run.
        gates: Result by gate, as recorded by that run; empty if it recorded none.
        data_digest: sha256 of the data that it was trained on.
        dirty: Whether the checkout differed from it.
        imported_from: The server that it was imported from; ``None`` if it was trained here.
        approval_imported: Whether the approval was given on the other server.
        local_gates: Result by gate that judged an imported version on this server.
    """

    name: str
    version: int
    target: str
    run_status: str | None = None
    gates: dict[str, bool] = {}
    has_card: bool = False
    data_digest: str | None = None
    commit: str | None = None
    dirty: bool | None = None
    environment: str | None = None
    approved_by: str | None = None
    created: datetime | None = None
    imported_from: str | None = None
    signed_by: str | None = None
    approval_imported: bool = False
    local_gates: dict[str, bool] = {}


class BundleFacts(Frozen):
    """A model version on its way from one server to another.

    Attributes:
        version: Number of the version on the server that it leaves.
        signed_by: Who signed the bundle, verified; ``None`` if nobody did.
        run_status: Status of the run that trained it; ``None`` if none is recorded.
        gates: Result by gate, as recorded by that run.
    """

    name: str
    version: int
    environment: str
    signed_by: str | None = None
    run_status: str | None = None
    gates: dict[str, bool] = {}


Subject = PipelineFacts | StackFacts | DeploymentFacts | DagFacts | TaskFacts | ModelVersionFacts | BundleFacts

SUBJECTS: dict[Scope, type[Frozen]] = {
    Scope.PIPELINE: PipelineFacts,
    Scope.STACK: StackFacts,
    Scope.DEPLOYMENT: DeploymentFacts,
    Scope.DAG: DagFacts,
    Scope.TASK: TaskFacts,
    Scope.MODEL_VERSION: ModelVersionFacts,
    Scope.BUNDLE: BundleFacts,
}
"""The description that a policy of each scope gets."""


def subject_name(facts: Subject) -> str:
    """How a subject is called in verdicts and waivers, such as ``pipeline:training``."""
    scope = next(scope for scope, kind in SUBJECTS.items() if isinstance(facts, kind))
    if isinstance(facts, DeploymentFacts):
        return f"{scope}:{facts.pipeline}"
    if isinstance(facts, TaskFacts):
        return f"{scope}:{facts.dag}.{facts.name}"
    if isinstance(facts, ModelVersionFacts | BundleFacts):
        return f"{scope}:{facts.name}/{facts.version}"
    return f"{scope}:{facts.name}"
