"""What an environment deploys: the pipelines of its use cases, and what each is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zenml_airflow.runtime.preload import know_installed_packages
from zenml_airflow.settings.project import Settings, every_use_case
from zenml_mlops.data.use_case import UnknownPipelineError, load_use_case
from zenml_mlops.environment.stack_files import stack_file

if TYPE_CHECKING:
    from zenml.pipelines.pipeline_definition import Pipeline

    from zenml_airflow.contracts.provenance import Provenance
    from zenml_mlops.data.use_case import PipelineSpec
    from zenml_mlops.stacks.schema import StackFile

CODE_PACKAGES = ("zenml_pipelines", "governance")
"""Packages that travel with a snapshot: the project's. The platform is installed where the steps run."""

BUNDLE_PACKAGES = (*CODE_PACKAGES, "zenml_mlops")
"""Packages whose types travel in a bundle, as data that is checked: nothing of them is in it."""


@dataclass(frozen=True)
class DeploymentContext:
    """What every deployment of an environment asks of Git and of the stack file, asked once.

    Attributes:
        made: What is deployed is made from.
    """

    settings: Settings
    stack: StackFile
    made: Provenance


def deployment_context(settings: Settings, stack: StackFile | None = None) -> DeploymentContext:
    """Ask Git and, unless it was read before, the stack file."""
    from zenml_airflow.deploy.deploy import provenance

    return DeploymentContext(settings, stack or stack_file(settings), provenance(settings))


def pipelines(settings: Settings, names: Sequence[str] | None = None) -> dict[str, tuple[Settings, PipelineSpec]]:
    """The pipelines of the environment's use cases by name, each with the settings of its own.

    Args:
        names: The pipelines that are asked for; all by default.

    Raises:
        UnknownPipelineError: If there is none of a name; the message lists the known ones.
        ValueError: If two have the same name: ZenML and the manifests know a pipeline by it.
    """
    found: dict[str, tuple[Settings, PipelineSpec]] = {}
    for own in every_use_case(settings):
        for spec in load_use_case(own.definition).pipelines:
            if spec.name in found:
                raise ValueError(
                    f"Two use cases have a pipeline {spec.name!r}, {found[spec.name][0].use_case!r} and "
                    f"{own.use_case!r}: name one {own.use_case}_{spec.name}."
                )
            found[spec.name] = (own, spec)
    for name in names or ():
        if name not in found:
            raise UnknownPipelineError(f"No pipeline {name!r}. Known: {sorted(found)}.")
    return {name: found[name] for name in names or found}


def load_pipeline(context: DeploymentContext, spec: PipelineSpec) -> Pipeline:
    """A pipeline with the environment's defaults below its own settings."""
    from zenml.config import ResourceSettings
    from zenml.config.constants import RESOURCE_SETTINGS_KEY

    know_installed_packages()
    pipeline = spec.load()
    defaults = context.stack.settings.resources
    if not defaults:
        return pipeline
    own = pipeline.configuration.settings.get(RESOURCE_SETTINGS_KEY)
    asked = {**defaults, **(own.model_dump(exclude_unset=True) if own else {})}
    return pipeline.with_options(settings={RESOURCE_SETTINGS_KEY: ResourceSettings.model_validate(asked)})


def pipeline_arguments(context: DeploymentContext, spec: PipelineSpec) -> dict[str, Any]:
    """The arguments that a pipeline is compiled or run with."""
    return {"config": spec.config_class.from_settings(context.settings.model_dump()), "provenance": context.made}
