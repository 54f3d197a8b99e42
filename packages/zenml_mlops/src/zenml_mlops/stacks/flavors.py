"""ZenML's own word on a component's configuration, asked without a server, a cloud or the flavor's libraries."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from zenml_mlops.stacks.documents import KeyPath, leaves
from zenml_mlops.stacks.references import ENV_SCHEME, SECRET_SCHEME, BadReferenceError, in_zenml, secret_reference
from zenml_mlops.stacks.schema import Component

if TYPE_CHECKING:
    from zenml.stack import Flavor, StackComponentConfig

_SECRET_KEY = re.compile(r"(?i)(password|passwd|secret|token|api_?key|access_key|credential)s?$")
_URL_PASSWORD = re.compile(r"[a-z][a-z0-9+.-]*://[^/@\s]*:[^/@\s]+@")

_STAND_IN = "https://stand-in"

Finding = tuple[KeyPath, str]
"""Path inside the component, and what is wrong there."""


class FlavorSourceError(ValueError):
    """A custom flavor cannot be loaded."""


def component_types() -> list[str]:
    """The types of component that ZenML knows."""
    from zenml.enums import StackComponentType

    return sorted(kind.value for kind in StackComponentType)


@cache
def _shipped() -> Mapping[tuple[str, str], type[Flavor]]:
    from zenml.integrations.registry import integration_registry
    from zenml.stack.flavor_registry import FlavorRegistry

    flavors = [*FlavorRegistry().builtin_flavors]
    for integration in integration_registry.integrations.values():
        flavors += integration.flavors()
    return {(made.type.value, str(made.name)): flavor for flavor in flavors for made in [flavor()]}


def custom_flavor(kind: str, source: str) -> type[Flavor]:
    """Load a flavor of our own.

    Raises:
        FlavorSourceError: If there is no such class, or it is a flavor of another type.
    """
    from zenml.stack import Flavor
    from zenml.utils import source_utils

    try:
        flavor = source_utils.load(source)
    except (ImportError, AttributeError, ValueError) as error:
        raise FlavorSourceError(f"{source!r} cannot be imported: {error}") from error
    if not (isinstance(flavor, type) and issubclass(flavor, Flavor)):
        raise FlavorSourceError(f"{source!r} is no ZenML flavor")
    if flavor().type.value != kind:
        raise FlavorSourceError(f"{source!r} is a flavor of {flavor().type.value}, not of {kind}")
    return flavor


def known_flavors(custom: Mapping[str, tuple[str, ...]]) -> dict[tuple[str, str], type[Flavor]]:
    """Every flavor by type and name: ZenML's and our own that can be loaded."""
    known = dict(_shipped())
    for kind, sources in custom.items():
        for source in sources:
            try:
                flavor = custom_flavor(kind, source)
            except FlavorSourceError:
                continue
            known[kind, flavor().name] = flavor
    return known


def typed_config(flavor: type[Flavor], component: Component) -> StackComponentConfig:
    """The configuration as the flavor's own class reads it, with a stand-in for each secret.

    Some classes look at a secret while they validate, which would ask a server for it.

    Raises:
        Exception: Whatever the flavor's class says of a wrong configuration.
    """
    config: dict[str, Any] = {
        key: _STAND_IN if secret_reference(value) else value for key, value in component.config.items()
    }
    return flavor().config_class(**config)


def stored_config(flavor: type[Flavor], component: Component) -> dict[str, Any]:
    """The configuration as ZenML would store it."""
    typed = typed_config(flavor, component).model_dump(mode="json", exclude_unset=True)
    references = in_zenml({key: value for key, value in component.config.items() if secret_reference(value)})
    return {**typed, **references}


def secret_options(
    kind: str, flavor: str, config: Mapping[str, Any], known: Mapping[tuple[str, str], type[Flavor]]
) -> frozenset[str]:
    """The options of a stored configuration that hold a secret in clear."""
    found = known.get((kind, flavor))
    fields = found().config_class.model_fields if found else {}
    component = Component(flavor=flavor, config=dict(config))
    return frozenset(path[1] for path, _ in _secrets_in_clear(component, fields))


def findings(kind: str, component: Component, known: Mapping[tuple[str, str], type[Flavor]]) -> Iterator[Finding]:
    """What is wrong with a component."""
    flavor = known.get((kind, component.flavor))
    if flavor is None:
        names = sorted(name for other, name in known if other == kind)
        yield ("flavor",), f"there is no {kind} of flavor {component.flavor!r}; known: {names}"
        yield from _references(component)
        return
    fields = flavor().config_class.model_fields
    unknown = sorted(set(component.config) - set(fields))
    for key in unknown:
        yield (
            ("config", key),
            f"flavor {component.flavor!r} of {kind} has no such option; known: {sorted(fields)}",
        )
    wrong = [
        *_references(component),
        *_secrets_in_clear(component, fields),
        *_validated_secrets(flavor, component),
    ]
    yield from wrong
    if not unknown and not wrong:
        yield from _said_by_zenml(flavor, component)


def _said_by_zenml(flavor: type[Flavor], component: Component) -> Iterator[Finding]:
    # Its ``is_valid`` is not asked: that of some flavors calls the service.
    try:
        typed_config(flavor, component)
    except ValidationError as error:
        for item in error.errors():
            yield ("config", *(str(part) for part in item["loc"])), item["msg"]
    except Exception as error:  # noqa: BLE001 - each flavor raises what it likes, and all of it is about the config
        named = [key for key in component.config if f"`{key}`" in str(error) or f"{key}:" in str(error)]
        yield ("config", *named[:1]), str(error)


def _references(component: Component) -> Iterator[Finding]:
    for path, value in leaves(component.config):
        if not isinstance(value, str):
            continue
        where = ("config", *path)
        if ENV_SCHEME in value:
            yield (
                where,
                f"{value!r} would be stored in plain text: name the variable under `secrets`, and the secret here",
            )
        elif "{{" in value:
            yield where, f"{value!r} is ZenML's own notation: write it as {SECRET_SCHEME}NAME/KEY"
        elif SECRET_SCHEME in value:
            try:
                reference = secret_reference(value)
            except BadReferenceError as error:
                yield where, str(error)
                continue
            if reference is None or len(path) > 1:
                yield where, "ZenML resolves a secret only where it is the whole value of an option of the flavor"


def _secrets_in_clear(component: Component, fields: Mapping[str, Any]) -> Iterator[Finding]:
    from zenml.utils.secret_utils import is_secret_field

    for path, value in leaves(component.config):
        named = not isinstance(value, str) or any(sign in value for sign in (SECRET_SCHEME, ENV_SCHEME, "{{"))
        if named or not value:
            continue
        marked = path[0] in fields and is_secret_field(fields[path[0]])
        if marked or _SECRET_KEY.search(path[-1]) or _URL_PASSWORD.match(value):
            # The value itself must not reach a terminal or CI's log.
            yield (
                ("config", *path),
                f"holds a secret in plain text: put it under `secrets`, as {SECRET_SCHEME}NAME/KEY",
            )


def _validated_secrets(flavor: type[Flavor], component: Component) -> Iterator[Finding]:
    """ZenML takes no reference where the flavor's class itself looks at the value."""
    from zenml.utils.pydantic_utils import has_validators

    config_class = flavor().config_class
    for key, value in component.config.items():
        if (
            not isinstance(value, str)
            or not value.startswith(SECRET_SCHEME)
            or key not in config_class.model_fields
        ):
            continue
        if has_validators(pydantic_class=config_class, field_name=key):
            yield ("config", key), "ZenML takes no secret here, as the flavor validates the value"
