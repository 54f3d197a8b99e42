"""What would have to change for a ZenML server to match a stack file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from zenml_mlops.policy.facts import ENVIRONMENT_LABEL
from zenml_mlops.stacks.flavors import custom_flavor, known_flavors, secret_options, stored_config
from zenml_mlops.stacks.load import LoadedStack
from zenml_mlops.stacks.problems import Problem, StackFileError
from zenml_mlops.stacks.references import env_reference
from zenml_mlops.stacks.schema import StackFile

if TYPE_CHECKING:
    from zenml.client import Client
    from zenml.models import ComponentResponse, FlavorResponse, StackResponse

APPLIED_LABEL = "applied"
"""Label that holds the digest of what was applied last: what differs from it was changed by hand."""


class Action(StrEnum):
    """What happens to a resource."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    """ZenML cannot change a flavor: the old component is renamed, a new one takes its name and its stacks."""
    DELETE = "delete"
    """Only with ``--prune``."""

    @property
    def mark(self) -> str:
        """How a plan shows it."""
        return {"create": "+", "update": "~", "replace": "-/+", "delete": "-"}[self.value]


class Kind(StrEnum):
    """What a stack file describes."""

    FLAVOR = "flavor"
    SECRET = "secret"  # noqa: S105 - a kind of resource
    COMPONENT = "component"
    STACK = "stack"


@dataclass(frozen=True)
class Change:
    """One change.

    Attributes:
        group: Type of the component or flavor; empty for others.
        name: Its name; the source of a flavor.
        details: Each field that differs, as a line without any secret.
        by_hand: Whether the server differs from what was applied last, whatever the file says now.
    """

    action: Action
    kind: Kind
    group: str
    name: str
    details: tuple[str, ...] = ()
    by_hand: bool = False

    @property
    def target(self) -> str:
        """What it happens to, such as ``artifact_store main``."""
        label = self.group if self.kind is Kind.COMPONENT else f"{self.group} {self.kind}".strip()
        return f"{label} {self.name}"

    def __str__(self) -> str:
        return f"{self.action.mark} {self.action} {self.target}"


@dataclass(frozen=True)
class ServerState:
    """What the server holds."""

    flavors: Mapping[tuple[str, str], FlavorResponse]
    components: Mapping[tuple[str, str], ComponentResponse]
    stacks: Mapping[str, StackResponse]
    secrets: Mapping[str, Mapping[str, str]] = field(repr=False)


def read_server(client: Client, file: StackFile) -> ServerState:
    """Read what the server holds of what the file could be about."""
    from zenml.utils.pagination_utils import depaginate

    components = depaginate(client.list_stack_components, hydrate=True)
    secrets: dict[str, Mapping[str, str]] = {}
    for name in file.secrets:
        found = client.list_secrets(name=name, private=False, size=1)
        if found.items:
            secrets[name] = client.get_secret(found.items[0].id).secret_values
    return ServerState(
        flavors={
            (kind, flavor.name): flavor
            for kind in file.flavors
            for flavor in client.list_flavors(type=kind, size=1000, hydrate=True).items
        },
        components={(model.type.value, model.name): model for model in components},
        stacks={stack.name: stack for stack in depaginate(client.list_stacks, hydrate=True)},
        secrets=secrets,
    )


def make_plan(loaded: LoadedStack, state: ServerState, environ: Mapping[str, str]) -> list[Change]:
    """Compare a file with a server.

    Args:
        environ: The process's variables, of which those that the file lists are read.

    Raises:
        StackFileError: If a secret can be found nowhere, or a name belongs to another environment; all at once.
    """
    file = loaded.file
    problems = [loaded.document.problem(where, message) for where, message in _unresolved(file, state, environ)]
    problems += _foreign(loaded, state)
    if problems:
        raise StackFileError(problems)
    changes = _flavors(file, state)
    changes += _secrets(file, state, environ)
    components = _components(file, state)
    replaced = {(change.group, change.name) for change in components if change.action is Action.REPLACE}
    return [*changes, *components, *_stacks(file, state, replaced), *_leftovers(file, state)]


def _flavors(file: StackFile, state: ServerState) -> list[Change]:
    changes = []
    for kind, sources in file.flavors.items():
        for source in sources:
            name = custom_flavor(kind, source)().name
            present = state.flavors.get((kind, name))
            if present is None:
                changes.append(Change(Action.CREATE, Kind.FLAVOR, kind, name))
            elif present.source != source:
                details = (f"source: {present.source!r} -> {source!r}",)
                changes.append(Change(Action.UPDATE, Kind.FLAVOR, kind, name, details))
    return changes


def wanted_configs(file: StackFile) -> dict[tuple[str, str], dict[str, Any]]:
    """The configuration of each component as ZenML stores it."""
    known = known_flavors(file.flavors)
    return {
        (kind, name): stored_config(known[kind, component.flavor], component)
        for kind, components in file.components.items()
        for name, component in components.items()
    }


def wanted_secret(values: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """The values of a secret that come from this process's variables, if they are set."""
    named = {key: env_reference(value) for key, value in values.items()}
    return {key: environ[variable] for key, variable in named.items() if variable and environ.get(variable)}


def digest_of(content: Any) -> str:
    """Short digest of a configuration or of a stack's parts."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


def plan_digest(changes: Sequence[Change]) -> str:
    """sha256 of a plan: equal for equal changes, so that what was applied can be told from what was reviewed."""
    content = [[str(change), *change.details] for change in changes]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def labels_of(file: StackFile, content: Any) -> dict[str, str]:
    """The labels of something that was applied."""
    return {ENVIRONMENT_LABEL: file.name, APPLIED_LABEL: digest_of(content)}


def _unresolved(
    file: StackFile, state: ServerState, environ: Mapping[str, str]
) -> list[tuple[tuple[str, ...], str]]:
    found: list[tuple[tuple[str, ...], str]] = []
    for name, values in file.secrets.items():
        stored = state.secrets.get(name, {})
        given = wanted_secret(values, environ)
        for key, value in values.items():
            if key in stored or key in given:
                continue
            variable = env_reference(value)
            way_out = f"set the variable {variable}" if variable else "have its owner store it there"
            message = f"secret://{name}/{key} is not resolved: ZenML's secret store has no such value; {way_out}"
            found.append((("secrets", name, key), message))
    return found


def _foreign(loaded: LoadedStack, state: ServerState) -> list[Problem]:
    file = loaded.file
    owners: list[tuple[tuple[str, ...], Any]] = [
        (("components", kind, name), state.components.get((kind, name)))
        for kind, components in file.components.items()
        for name in components
    ]
    owners += [(("stacks", name), state.stacks.get(name)) for name in file.stacks]
    return [
        loaded.document.problem(where, f"belongs to environment {owner!r} on this server: give it another name")
        for where, model in owners
        if model is not None
        if (owner := (model.labels or {}).get(ENVIRONMENT_LABEL)) not in {None, file.name}
    ]


def _secrets(file: StackFile, state: ServerState, environ: Mapping[str, str]) -> list[Change]:
    changes = []
    for name, values in file.secrets.items():
        given, stored = wanted_secret(values, environ), state.secrets.get(name)
        differing = tuple(f"{key}: (another value)" for key in given if (stored or {}).get(key) != given[key])
        if stored is None or differing:
            action = Action.CREATE if stored is None else Action.UPDATE
            changes.append(Change(action, Kind.SECRET, "", name, differing))
    return changes


def _components(file: StackFile, state: ServerState) -> list[Change]:
    changes, known = [], known_flavors(file.flavors)
    for (kind, name), config in wanted_configs(file).items():
        flavor, present = file.components[kind][name].flavor, state.components.get((kind, name))
        if present is None:
            changes.append(Change(Action.CREATE, Kind.COMPONENT, kind, name, _details({}, config)))
            continue
        labels = present.labels or {}
        on_server = [present.flavor_name, present.configuration]
        by_hand = APPLIED_LABEL in labels and labels[APPLIED_LABEL] != digest_of(on_server)
        if present.flavor_name != flavor:
            details: tuple[str, ...] = (f"flavor: {present.flavor_name!r} -> {flavor!r}",)
            changes.append(Change(Action.REPLACE, Kind.COMPONENT, kind, name, details, by_hand))
            continue
        details = _details(
            present.configuration, config, hidden=secret_options(kind, flavor, present.configuration, known)
        )
        details += _label_details(labels, labels_of(file, [flavor, config]))
        if details:
            changes.append(Change(Action.UPDATE, Kind.COMPONENT, kind, name, details, by_hand))
    return changes


def _stacks(file: StackFile, state: ServerState, replaced: set[tuple[str, str]]) -> list[Change]:
    changes = []
    for name, parts in file.stacks.items():
        wanted = {kind: [part] for kind, part in parts.items()}
        stack = state.stacks.get(name)
        if stack is None:
            changes.append(Change(Action.CREATE, Kind.STACK, "", name, _details({}, wanted)))
            continue
        labels, parts_there = stack.labels or {}, stack.components.items()
        present = {kind.value: sorted(model.name for model in models) for kind, models in parts_there if models}
        by_hand = APPLIED_LABEL in labels and labels[APPLIED_LABEL] != digest_of(present)
        details = _details(present, wanted) + _label_details(labels, labels_of(file, wanted))
        details += tuple(
            f"{kind}: {part!r} is replaced" for kind, part in parts.items() if (kind, part) in replaced
        )
        if details:
            changes.append(Change(Action.UPDATE, Kind.STACK, "", name, details, by_hand))
    return changes


def _leftovers(file: StackFile, state: ServerState) -> list[Change]:
    """What was applied for this environment and stands in its file no more; stacks before what they hold."""

    def ours(model: Any) -> bool:
        return (model.labels or {}).get(ENVIRONMENT_LABEL) == file.name

    stacks = [
        Change(Action.DELETE, Kind.STACK, "", name)
        for name, stack in sorted(state.stacks.items())
        if ours(stack) and name not in file.stacks
    ]
    return stacks + [
        Change(Action.DELETE, Kind.COMPONENT, kind, name)
        for (kind, name), model in sorted(state.components.items())
        if ours(model) and name not in file.components.get(kind, {})
    ]


def _details(
    present: Mapping[str, Any], wanted: Mapping[str, Any], *, hidden: Set[str] = frozenset()
) -> tuple[str, ...]:
    """Each key that differs; ``hidden`` are those where somebody put a secret in clear by hand."""
    absent = object()

    def show(value: Any) -> str:
        return "(none)" if value is absent else repr(value)

    return tuple(
        f"{key}: {'(hidden)' if key in hidden else show(old)} -> {show(new)}"
        for key in sorted({*present, *wanted})
        if (old := present.get(key, absent)) != (new := wanted.get(key, absent))
    )


def _label_details(present: Mapping[str, Any], wanted: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(
        f"label {key}: {present.get(key)!r} -> {value!r}"
        for key, value in wanted.items()
        if present.get(key) != value
    )
