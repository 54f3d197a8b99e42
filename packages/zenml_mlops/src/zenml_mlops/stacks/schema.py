"""What a stack file holds."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from zenml_airflow.contracts.frozen import Frozen
from zenml_mlops.policy.schema import Mode

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]
SecretValue = Annotated[str, Field(pattern=r"^(env://[A-Z_][A-Z0-9_]*|external)$")]


class Component(Frozen):
    """A ZenML stack component.

    Attributes:
        flavor: Its flavor, ZenML's own or one of ``flavors``.
        config: The flavor's configuration. A secret is named, as ``secret://NAME/KEY``.
    """

    flavor: str
    config: dict[str, Any] = {}


class SettingsDefaults(Frozen):
    """What holds for a pipeline that says nothing.

    Attributes:
        resources: CPU, memory and GPU of each step, as ZenML's ``ResourceSettings``; only a launcher that starts
            containers gives them.
    """

    resources: dict[str, Any] = {}


class Executor(StrEnum):
    """Airflow's executors that the bridge's launchers work with."""

    LOCAL = "LocalExecutor"
    CELERY = "CeleryExecutor"
    KUBERNETES = "KubernetesExecutor"


class Pool(Frozen):
    """An Airflow pool: how many of the tasks that name it run at once."""

    slots: int = Field(gt=0)
    description: str = ""


class LocalBundle(Frozen):
    """DAG files and manifests in a folder of the machine.

    Attributes:
        refresh_seconds: How often Airflow looks for new files.
    """

    kind: Literal["local"]
    refresh_seconds: int = Field(default=5, gt=0)


class GitBundle(Frozen):
    """DAG files and manifests from git: a run keeps the version that it started with.

    Attributes:
        tracking_ref: Branch or tag that Airflow follows.
        subdir: Folder of the DAG files.
        connection: Airflow connection of the repository.
        refresh_seconds: How often Airflow looks for a new commit.
    """

    kind: Literal["git"]
    tracking_ref: str
    subdir: str = "dags"
    connection: str
    refresh_seconds: int = Field(default=60, gt=0)


class AirflowSide(Frozen):
    """What Airflow's services must be like; what its tasks do stands under ``airflow`` in ``configs/``.

    Attributes:
        executor: What runs tasks.
        pools: Pools by name.
        queues: Queues that workers listen to; tasks that name none go to the first.
        bundle: Where DAG files come from.
    """

    executor: Executor
    pools: dict[Name, Pool] = {}
    queues: tuple[Name, ...] = Field(default=("default",), min_length=1)
    bundle: Annotated[LocalBundle | GitBundle, Field(discriminator="kind")]


class PolicyModes(Frozen):
    """How strict the policies are in this environment; the policy files themselves must agree.

    Attributes:
        minimum: What a violation of any policy does at least.
        weaker: The policies that may be weaker, with their mode.
    """

    minimum: Mode
    weaker: dict[str, Mode] = {}


class StackFile(Frozen):
    """What an environment's ZenML server and Airflow must hold.

    Attributes:
        name: The environment, which the file is named after.
        variables: Variables of the process that secrets may come from; no other is ever read.
        secrets: Secrets in ZenML's secret store, by name and key: ``env://VARIABLE``, or ``external`` for a value
            that somebody else keeps there.
        flavors: Sources of custom flavors by component type.
        components: Components by type and name.
        stacks: For each stack the component name by component type.
        scheduled: The stack whose runs Airflow schedules.
        inline: The stack that ``mlops run`` uses without Airflow; none where nothing runs without it.
        settings: What holds for pipelines that say nothing.
        airflow: The Airflow side.
        policies: How strict the policies are.
    """

    name: Name
    variables: tuple[Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*$")], ...] = ()
    secrets: dict[Name, dict[Name, SecretValue]] = {}
    flavors: dict[str, tuple[str, ...]] = {}
    components: dict[str, dict[Name, Component]]
    stacks: dict[Name, dict[str, str]]
    scheduled: str
    inline: str | None = None
    settings: SettingsDefaults = SettingsDefaults()
    airflow: AirflowSide
    policies: PolicyModes


def json_schema() -> str:
    """The JSON Schema of a stack file, for editors: ``stacks/schema.json`` holds it.

    A file that extends another one may leave out what that one has, so nothing is required here.
    """
    schema = StackFile.model_json_schema()
    schema["properties"]["extends"] = {"type": "string", "description": "A file of the same folder."}
    for part in (schema, *schema["$defs"].values()):
        part.pop("required", None)
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"
