"""The registry of rules: a rule is a pure function from facts and parameters to what breaks it."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from zenml_airflow.contracts.frozen import Frozen
from zenml_mlops.policy.facts import SUBJECTS, Scope


class Parameters(Frozen):
    """Base of the parameters of a rule: frozen, and no unknown key."""


class NoParameters(Parameters):
    """For a rule that takes none."""


@dataclass(frozen=True)
class Rule:
    """A rule that a policy may name.

    Attributes:
        check: Yields one sentence for each thing that breaks it.
    """

    name: str
    scope: Scope
    parameters: type[Parameters]
    check: Callable[[Any, Any], Iterator[str]]


_F = TypeVar("_F", bound=Callable[..., Iterator[str]])
REGISTERED: dict[str, Rule] = {}
"""The rules by name, of the modules that were imported."""


def rule(function: _F) -> _F:
    """Register a rule: ``def name(facts: PipelineFacts, parameters: P) -> Iterator[str]``.

    The annotation of the first argument says what it judges, that of the second one which parameters a policy
    must give.

    Raises:
        TypeError: If the signature is another, or the name is taken.
    """
    hints = typing.get_type_hints(function)
    names = list(inspect.signature(function).parameters)
    scope = next(
        (scope for scope, kind in SUBJECTS.items() if len(names) == 2 and hints.get(names[0]) is kind), None
    )
    parameters = hints.get(names[1]) if len(names) == 2 else None
    if scope is None or not (isinstance(parameters, type) and issubclass(parameters, Parameters)):
        raise TypeError(f"A rule takes (facts: one of the facts classes, parameters: Parameters): {function!r}")
    if function.__name__ in REGISTERED:
        raise TypeError(f"There is a rule {function.__name__!r} already.")
    REGISTERED[function.__name__] = Rule(function.__name__, scope, parameters, function)
    return function
