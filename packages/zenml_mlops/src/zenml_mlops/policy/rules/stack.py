"""Rules about ZenML stacks."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch

from zenml_mlops.policy.facts import StackFacts
from zenml_mlops.policy.rules.registry import NoParameters, Parameters, rule

ARTIFACT_STORE = "artifact_store"


class ComponentParameters(Parameters):
    """Types of component that a stack must have, and the allowed flavors by type; a type not named is free."""

    required: tuple[str, ...]
    allowed_flavors: dict[str, tuple[str, ...]] = {}


@rule
def stack_components(facts: StackFacts, parameters: ComponentParameters) -> Iterator[str]:
    """A stack has what its environment requires, in flavors that the platform supports."""
    present = {component.kind for component in facts.components}
    for kind in parameters.required:
        if kind not in present:
            yield f"it has no {kind}"
    for component in facts.components:
        allowed = parameters.allowed_flavors.get(component.kind)
        if allowed is not None and component.flavor not in allowed:
            yield (
                f"its {component.kind} {component.name!r} is of flavor {component.flavor!r}, "
                f"allowed: {list(allowed)}"
            )


class StoreParameters(Parameters):
    """Globs of allowed roots of artifact stores, allowed regions, and whether encryption must be configured."""

    allowed_locations: tuple[str, ...]
    allowed_regions: tuple[str, ...] = ()
    encrypted: bool = True


@rule
def artifact_store_protected(facts: StackFacts, parameters: StoreParameters) -> Iterator[str]:
    """Artifacts hold data of persons: they lie encrypted, where the platform says."""
    for store in facts.components:
        if store.kind != ARTIFACT_STORE:
            continue
        location = store.location or ""
        if not any(fnmatch(location, glob) for glob in parameters.allowed_locations):
            yield f"its artifact store lies at {location!r}; allowed: {list(parameters.allowed_locations)}"
        if parameters.allowed_regions and store.region not in parameters.allowed_regions:
            allowed = list(parameters.allowed_regions)
            yield f"its artifact store is in region {store.region!r}; allowed: {allowed}"
        if parameters.encrypted and store.encrypted is not True:
            yield f"its artifact store {store.name!r} does not say that it encrypts at rest"


@rule
def no_local_component(facts: StackFacts, _parameters: NoParameters) -> Iterator[str]:
    """A stack whose steps run elsewhere keeps nothing on one machine's disk."""
    for component in facts.components:
        if component.local:
            yield f"its {component.kind} {component.name!r} ({component.flavor}) keeps its state on one machine"


@rule
def stack_of_environment(facts: StackFacts, _parameters: NoParameters) -> Iterator[str]:
    """A stack says which environment it belongs to, so that no variable can claim another."""
    if facts.environment is None:
        yield "its labels name no environment: apply it with `mlops stack apply`"
    elif facts.environment != facts.used_for:
        yield f"it is registered for environment {facts.environment!r}, and used for {facts.used_for!r}"
