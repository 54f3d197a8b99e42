"""Read a stack file and make the ZenML server match it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from governance.policy.facts import ENVIRONMENT_LABEL

if TYPE_CHECKING:
    from zenml.client import Client
    from zenml.models import ComponentResponse


class StackFileError(ValueError):
    """A stack file is missing or wrong."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Component(_Part):
    """A ZenML stack component: its flavor and the flavor's configuration."""

    flavor: str
    config: dict[str, Any]


class StackFile(_Part):
    """What an environment's ZenML server must hold.

    Attributes:
        flavors: Sources of custom flavors by component type.
        components: Components by type and name.
        stacks: For each stack the component name by component type.
        scheduled: The stack whose runs Airflow schedules.
        inline: The stack that ``mlops run`` uses without Airflow.
    """

    name: str
    flavors: dict[str, tuple[str, ...]]
    components: dict[str, dict[str, Component]]
    stacks: dict[str, dict[str, str]]
    scheduled: str
    inline: str

    @model_validator(mode="after")
    def _names_exist(self) -> StackFile:
        problems = [
            f"stack {stack!r} names {kind} {name!r}, which is not defined"
            for stack, parts in self.stacks.items()
            for kind, name in parts.items()
            if name not in self.components.get(kind, {})
        ]
        problems += [
            f"{role} names stack {name!r}, which is not defined"
            for role, name in (("scheduled", self.scheduled), ("inline", self.inline))
            if name not in self.stacks
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return self


def read_stack_file(path: Path, variables: Mapping[str, str]) -> StackFile:
    """Read a stack file and fill in its ``${…}`` variables.

    Raises:
        StackFileError: If the file is missing, names an unknown variable, or breaks the schema.
    """
    try:
        text = Template(path.read_text(encoding="utf-8")).substitute(variables)
        return StackFile.model_validate(yaml.safe_load(text))
    except FileNotFoundError:
        raise StackFileError(f"No stack file {path.name}: add stacks/{path.name}.") from None
    except KeyError as error:
        raise StackFileError(f"{path.name} uses {error}, known are {sorted(variables)}.") from None
    except (yaml.YAMLError, ValidationError, ValueError) as error:
        raise StackFileError(f"{path.name} is not a stack file: {error}") from error


def apply_stack_file(file: StackFile) -> Iterator[str]:
    """Create or update flavors, components and stacks; yield a line for each change made.

    Applying the same file twice changes nothing.
    """
    from zenml.client import Client
    from zenml.enums import StackComponentType

    client = Client()
    for kind, sources in file.flavors.items():
        known = {flavor.source for flavor in client.list_flavors(type=kind, size=1000).items}
        for source in sources:
            if source not in known:
                flavor = client.create_flavor(source, StackComponentType(kind))
                yield f"created {kind} flavor {flavor.name}"
    ids: dict[tuple[str, str], ComponentResponse] = {}
    for kind, components in file.components.items():
        for name, wanted in components.items():
            model, change = _apply_component(client, StackComponentType(kind), name, wanted)
            ids[kind, name] = model
            if change:
                yield f"{change} {kind} {name}"
    for name, parts in file.stacks.items():
        wanted_ids = {StackComponentType(kind): ids[kind, part].id for kind, part in parts.items()}
        found = client.list_stacks(name=name, size=1, hydrate=True).items
        labels = {ENVIRONMENT_LABEL: file.name}
        if not found:
            client.create_stack(name=name, components=wanted_ids, labels=labels)
            yield f"created stack {name}"
            continue
        present = {kind: models[0].id for kind, models in found[0].components.items()}
        if present != wanted_ids or (found[0].labels or {}).get(ENVIRONMENT_LABEL) != file.name:
            client.update_stack(
                name_id_or_prefix=found[0].id,
                component_updates={kind: [part] for kind, part in wanted_ids.items()},
                labels=labels,
            )
            yield f"updated stack {name}"


def _apply_component(
    client: Client, kind: Any, name: str, wanted: Component
) -> tuple[ComponentResponse, str | None]:
    found = client.list_stack_components(type=kind, name=name, size=1, hydrate=True).items
    if not found:
        created = client.create_stack_component(
            name=name, flavor=wanted.flavor, component_type=kind, configuration=wanted.config
        )
        return created, "created"
    present = found[0]
    if present.flavor_name != wanted.flavor:
        raise StackFileError(
            f"{kind.value} {name!r} exists with flavor {present.flavor_name!r}, the file wants {wanted.flavor!r}: "
            "a component keeps its flavor; give the new one another name."
        )
    if {**present.configuration, **wanted.config} == present.configuration:
        return present, None
    updated = client.update_stack_component(
        name_id_or_prefix=present.id, component_type=kind, configuration=wanted.config
    )
    return updated, "updated"
