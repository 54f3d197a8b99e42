"""Values that a stack file names instead of holding: secrets, and the variables that they come from.

``secret://NAME/KEY`` stands in the configuration of a component and becomes ZenML's own reference, which ZenML
resolves when the component is used. ``env://VARIABLE`` stands under ``secrets`` alone, where the value goes into
ZenML's secret store and nowhere else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

SECRET_SCHEME = "secret://"  # noqa: S105 - a scheme, no secret
ENV_SCHEME = "env://"

_SECRET = re.compile(r"secret://([A-Za-z0-9][A-Za-z0-9_-]*)/([A-Za-z_][A-Za-z0-9_]*)")
_ENV = re.compile(r"env://([A-Z_][A-Z0-9_]*)")


class BadReferenceError(ValueError):
    """A reference is not written as one."""


@dataclass(frozen=True)
class SecretReference:
    """A value of a secret in ZenML's secret store."""

    secret: str
    key: str

    def __str__(self) -> str:
        return f"{SECRET_SCHEME}{self.secret}/{self.key}"

    @property
    def in_zenml(self) -> str:
        """The reference as ZenML writes it."""
        return "{{" + f"{self.secret}.{self.key}" + "}}"


def secret_reference(value: Any) -> SecretReference | None:
    """Read a reference to a secret; ``None`` for any other value.

    Raises:
        BadReferenceError: If it begins as one and is none.
    """
    if not isinstance(value, str) or not value.startswith(SECRET_SCHEME):
        return None
    found = _SECRET.fullmatch(value)
    if found is None:
        raise BadReferenceError(f"{value!r} is no reference: write it as {SECRET_SCHEME}NAME/KEY")
    return SecretReference(found[1], found[2])


def env_reference(value: Any) -> str | None:
    """The variable that a reference names; ``None`` for any other value.

    Raises:
        BadReferenceError: If it begins as one and is none.
    """
    if not isinstance(value, str) or not value.startswith(ENV_SCHEME):
        return None
    found = _ENV.fullmatch(value)
    if found is None:
        raise BadReferenceError(f"{value!r} is no reference: write it as {ENV_SCHEME}VARIABLE")
    return found[1]


def in_zenml(configuration: dict[str, Any]) -> dict[str, Any]:
    """A component's configuration with its references as ZenML writes them."""
    return {
        key: reference.in_zenml if (reference := secret_reference(value)) else value
        for key, value in configuration.items()
    }
