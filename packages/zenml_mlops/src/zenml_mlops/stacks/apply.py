"""Make a ZenML server match a stack file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from zenml_mlops.stacks.flavors import custom_flavor
from zenml_mlops.stacks.load import LoadedStack
from zenml_mlops.stacks.plan import (
    Action,
    Change,
    Kind,
    ServerState,
    labels_of,
    make_plan,
    read_server,
    wanted_configs,
    wanted_secret,
)
from zenml_mlops.stacks.schema import StackFile

if TYPE_CHECKING:
    from zenml.client import Client


class ApplyError(RuntimeError):
    """A change failed. The message says what is done and what is not.

    Attributes:
        missing: The changes that were not, the failed one first.
    """

    def __init__(self, cause: Exception, done: Sequence[Change], missing: Sequence[Change]) -> None:
        self.done, self.missing = tuple(done), tuple(missing)
        # A store may repeat the value that it refused.
        said = "" if missing[0].kind is Kind.SECRET else f": {cause}"
        lines = [f"{missing[0]} failed: {type(cause).__name__}{said}"]
        lines += [f"done: {change}" for change in done]
        lines += [f"not done: {change}" for change in missing]
        lines.append("Fix the cause and apply again: it continues from here, even if a change was only half made.")
        super().__init__("\n".join(lines))


def plan_stack_file(loaded: LoadedStack, environ: Mapping[str, str]) -> tuple[list[Change], ServerState]:
    """Compare a file with the ZenML server of this process.

    Raises:
        StackFileError: If a secret can be found nowhere, or a name belongs to another environment.
    """
    from zenml.client import Client

    state = read_server(Client(), loaded.file)
    return make_plan(loaded, state, environ), state


def apply_stack_file(
    loaded: LoadedStack,
    environ: Mapping[str, str],
    *,
    prune: bool = False,
    before_changes: Callable[[Sequence[Change]], None] | None = None,
) -> Iterator[Change]:
    """Make the changes of the plan one by one; yield each that is made. Applying twice changes nothing.

    ZenML has no transaction over several resources. Everything that can be checked is checked before the first
    change, and the order is such that a stack never names a component that is not there.

    Args:
        environ: The process's variables, of which those that the file lists are read.
        prune: Whether to delete what the file names no more; nothing is ever deleted without.
        before_changes: Called with the changes before the first is made, if any; what it raises stops everything.

    Raises:
        ApplyError: If a change fails.
        StackFileError: If a secret can be found nowhere, or a name belongs to another environment.
    """
    from zenml.client import Client

    changes, state = plan_stack_file(loaded, environ)
    chosen = [change for change in changes if prune or change.action is not Action.DELETE]
    if not chosen:
        return
    if before_changes is not None:
        before_changes(chosen)
    work = _Work(Client(), loaded.file, state, environ)
    for position, change in enumerate(chosen):
        try:
            work.make(change)
        except Exception as error:
            raise ApplyError(error, chosen[:position], chosen[position:]) from error
        yield change
    if prune:
        # What was replaced just now has become a leftover.
        yield from work.delete_replaced()


class _Work:
    def __init__(self, client: Client, file: StackFile, state: ServerState, environ: Mapping[str, str]) -> None:
        self.client = client
        self.file = file
        self.state = state
        self.environ = environ
        self.configs = wanted_configs(file)
        self.ids: dict[tuple[str, str], UUID] = {key: model.id for key, model in state.components.items()}
        self.replaced: list[tuple[str, str]] = []

    def make(self, change: Change) -> None:
        makers: dict[Kind, Callable[[Change], None]] = {
            Kind.FLAVOR: self._flavor,
            Kind.SECRET: self._secret,
            Kind.COMPONENT: self._component,
            Kind.STACK: self._stack,
        }
        makers[change.kind](change)

    def delete_replaced(self) -> Iterator[Change]:
        changes = [Change(Action.DELETE, Kind.COMPONENT, kind, name) for kind, name in self.replaced]
        for position, change in enumerate(changes):
            try:
                self._component(change)
            except Exception as error:
                raise ApplyError(error, changes[:position], changes[position:]) from error
            yield change

    def _flavor(self, change: Change) -> None:
        from zenml.enums import StackComponentType
        from zenml.models import FlavorUpdate

        source = next(
            s for s in self.file.flavors[change.group] if custom_flavor(change.group, s)().name == change.name
        )
        if change.action is Action.CREATE:
            self.client.create_flavor(source, StackComponentType(change.group))
        else:
            present = self.state.flavors[change.group, change.name]
            schema = custom_flavor(change.group, source)().config_schema
            update = FlavorUpdate(source=source, config_schema=schema)
            self.client.zen_store.update_flavor(present.id, update)

    def _secret(self, change: Change) -> None:
        values = wanted_secret(self.file.secrets[change.name], self.environ)
        if change.action is Action.CREATE:
            self.client.create_secret(change.name, values)
        else:
            self.client.update_secret(change.name, private=False, add_or_update_values=values)

    def _component(self, change: Change) -> None:
        from zenml.enums import StackComponentType

        kind, key = StackComponentType(change.group), (change.group, change.name)
        if change.action is Action.DELETE:
            self.client.delete_stack_component(self.ids[key], kind)
            return
        flavor, config = self.file.components[change.group][change.name].flavor, self.configs[key]
        labels = labels_of(self.file, [flavor, config])
        if change.action is Action.UPDATE:
            # ZenML lays an update over what it holds; ``None`` takes away what the file does not have.
            extra = dict.fromkeys(set(self.state.components[key].configuration) - set(config))
            self.client.update_stack_component(
                self.ids[key], kind, configuration={**config, **extra}, labels=labels
            )
            return
        if change.action is Action.REPLACE:
            old = self.ids[key]
            renamed = f"{change.name}-replaced-{str(old)[:8]}"
            # Marked as of this environment, so that a later prune finds it, if nobody did so before.
            self.client.update_stack_component(old, kind, name=renamed, labels=labels)
            self.ids[change.group, renamed] = old
            self.replaced.append((change.group, renamed))
        created = self.client.create_stack_component(
            name=change.name, flavor=flavor, component_type=kind, configuration=config, labels=labels
        )
        self.ids[key] = created.id

    def _stack(self, change: Change) -> None:
        from zenml.enums import StackComponentType
        from zenml.models import StackUpdate

        if change.action is Action.DELETE:
            self.client.delete_stack(self.state.stacks[change.name].id)
            return
        parts = self.file.stacks[change.name]
        components: dict[Any, list[UUID]] = {
            StackComponentType(kind): [self.ids[kind, part]] for kind, part in parts.items()
        }
        labels = labels_of(self.file, {kind: [part] for kind, part in parts.items()})
        if change.action is Action.CREATE:
            self.client.create_stack(
                name=change.name, components={kind: ids[0] for kind, ids in components.items()}, labels=labels
            )
            return
        # The client's own update cannot take a component out of a stack.
        present = self.state.stacks[change.name]
        update = StackUpdate(components=components, labels={**(present.labels or {}), **labels})
        updated = self.client.zen_store.update_stack(present.id, update)
        if updated.id == self.client.active_stack_model.id:
            self.client.activate_stack(updated.id)
