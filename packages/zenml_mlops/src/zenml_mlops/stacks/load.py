"""Read a stack file and say, without a server, everything that is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from zenml_airflow.settings.project import AirflowSettings
from zenml_mlops.policy.engine import Assessment, judge
from zenml_mlops.policy.facts import StackFacts
from zenml_mlops.policy.schema import Mode, load_policies
from zenml_mlops.policy.stack_facts import component_facts
from zenml_mlops.stacks.documents import Document, KeyPath, leaves, read_extended
from zenml_mlops.stacks.flavors import (
    FlavorSourceError,
    component_types,
    custom_flavor,
    findings,
    known_flavors,
    stored_config,
    typed_config,
)
from zenml_mlops.stacks.problems import Problem, StackFileError
from zenml_mlops.stacks.references import BadReferenceError, env_reference, secret_reference
from zenml_mlops.stacks.schema import StackFile

_VARIABLE = re.compile(r"\$\{(\w*)\}")
_STRICTNESS = (Mode.OFF, Mode.DRY_RUN, Mode.ENFORCE)


@dataclass(frozen=True)
class LoadedStack:
    """A stack file that has no problem, and the places of its values."""

    file: StackFile
    document: Document


def read_stack_file(path: Path, variables: Mapping[str, str]) -> LoadedStack:
    """Read a stack file against the schema; ZenML is not asked.

    Args:
        path: The file, which is named after its environment.
        variables: What ``${…}`` may stand for: locations of the checkout, never a secret.

    Raises:
        StackFileError: If the file is missing or breaks the schema; all problems at once.
    """
    document, file, problems = _read(path, variables)
    if file is None or problems:
        raise StackFileError(problems)
    return LoadedStack(file, document)


def check_stack_file(path: Path, variables: Mapping[str, str]) -> LoadedStack:
    """Read a stack file, and have ZenML's flavors and the policies' modes look at it, all of it offline.

    Raises:
        StackFileError: If anything is wrong; all problems at once.
    """
    document, file, problems = _read(path, variables)
    if file is None:
        raise StackFileError(problems)
    problems += [document.problem(where, message) for where, message in (*_components(file), *_modes(file))]
    if not problems:
        problems = [document.problem(where, message) for where, message in _unused(file)]
    if problems:
        raise StackFileError(problems)
    return LoadedStack(file, document)


def judge_stacks(loaded: LoadedStack) -> Assessment:
    """Have the platform's policies judge the stacks of a checked file, as they would judge them on a server.

    Raises:
        StackFileError: If a policy blocks; all of them at once.
    """
    assessment = judge(_stacks(loaded.file), loaded.file.name)
    blocking = [
        loaded.document.problem(
            ("stacks", verdict.subject.partition(":")[2]),
            f"policy {verdict.policy}: {verdict.message}. {verdict.remedy}",
        )
        for verdict in assessment.blocking
    ]
    if blocking:
        raise StackFileError(blocking)
    return assessment


def _read(path: Path, variables: Mapping[str, str]) -> tuple[Document, StackFile | None, list[Problem]]:
    written = read_extended(path)
    problems = [
        written.problem(where, f"uses ${{{name}}}; known: {sorted(variables)}")
        for where, value in leaves(written.content)
        if isinstance(value, str)
        for name in _VARIABLE.findall(value)
        if name not in variables
    ]
    document = Document(_filled(written.content, variables), written.places)
    file, wrong = _validated(document)
    problems += wrong
    if file is not None:
        if file.name != path.stem:
            message = f"is {file.name!r} in {path.name}: an environment's file is named after it"
            problems.append(document.problem(("name",), message))
        problems += [document.problem(where, message) for where, message in _names(file)]
    return document, file, problems


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, variables) for item in value]
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: variables.get(found[1], found[0]), value)
    return value


def _validated(document: Document) -> tuple[StackFile | None, list[Problem]]:
    """The typed file, and what breaks the schema; the file is what remains without that, if it can stand alone."""
    try:
        return StackFile.model_validate(document.content), []
    except ValidationError as error:
        broken = [(tuple(str(part) for part in item["loc"]), item) for item in error.errors()]
    if any(where[:1] == ("secrets",) for where, _ in broken):
        # What names a wrong secret would be wrong too.
        return None, [document.problem(_in_file(where, document), item["msg"]) for where, item in broken]
    problems = [
        document.problem(where, f"{item['msg']}{_found(item)}")
        for where, item in ((_in_file(where, document), item) for where, item in broken)
    ]
    try:
        return StackFile.model_validate(_without(document.content, [where for where, _ in broken])), problems
    except ValidationError:
        return None, problems


def _found(item: Any) -> str:
    section, name = item["loc"][0], item["loc"][-1]
    if item["type"] == "extra_forbidden" and section == "airflow" and name in AirflowSettings.model_fields:
        return f": airflow.{name} is a setting in configs/"
    return f", found {item['input']!r}" if item["type"] in {"enum", "string_pattern_mismatch"} else ""


def _in_file(where: KeyPath, document: Document) -> KeyPath:
    """A path of pydantic's without the tags of unions and ``[key]``, which stand in no file."""
    parts: KeyPath = ()
    for part in where:
        if part == "[key]":
            continue
        if (*parts, part) in document.places or part == where[-1]:
            parts = (*parts, part)
    return parts


def _without(content: dict[str, Any], broken: Iterable[KeyPath]) -> dict[str, Any]:
    pruned = _filled(content, {})
    for where in broken:
        around = pruned
        for part in where[:-1]:
            around = around.get(part, {}) if isinstance(around, dict) else {}
        if isinstance(around, dict):
            around.pop(where[-1], None)
    return dict(pruned)


def _names(file: StackFile) -> Iterator[tuple[KeyPath, str]]:
    for stack, parts in file.stacks.items():
        for kind, name in parts.items():
            if name not in file.components.get(kind, {}):
                known = sorted(file.components.get(kind, {}))
                yield ("stacks", stack, kind), f"there is no {kind} {name!r} under `components`; known: {known}"
        for kind in ("orchestrator", "artifact_store"):
            if kind not in parts:
                yield ("stacks", stack), f"has no {kind}, and ZenML has no stack without one"
    for role in ("scheduled", "inline"):
        named = getattr(file, role)
        if named is not None and named not in file.stacks:
            yield (role,), f"there is no stack {named!r}; known: {sorted(file.stacks)}"
    for name, values in file.secrets.items():
        for key, value in values.items():
            variable = env_reference(value)
            if variable is not None and variable not in file.variables:
                yield (
                    ("secrets", name, key),
                    f"{variable!r} is not among `variables`, which lists what may be read",
                )
    for kind, components in file.components.items():
        for name, component in components.items():
            for key, value in component.config.items():
                try:
                    reference = secret_reference(value)
                except BadReferenceError:
                    continue
                if reference is not None and reference.key not in file.secrets.get(reference.secret, {}):
                    where = ("components", kind, name, "config", key)
                    yield where, f"{reference} is not resolved: `secrets` has no such value"


def _components(file: StackFile) -> Iterator[tuple[KeyPath, str]]:
    types = component_types()
    unloaded: set[str] = set()
    for kind, sources in file.flavors.items():
        if kind not in types:
            yield ("flavors", kind), f"ZenML has no such type of component; known: {types}"
            continue
        for position, source in enumerate(sources):
            try:
                custom_flavor(kind, source)
            except FlavorSourceError as error:
                unloaded.add(kind)
                yield ("flavors", kind, str(position)), str(error)
    known = known_flavors({kind: sources for kind, sources in file.flavors.items() if kind in types})
    for kind, components in file.components.items():
        if kind not in types:
            yield ("components", kind), f"ZenML has no such type of component; known: {types}"
            continue
        for name, component in components.items():
            if kind in unloaded and (kind, component.flavor) not in known:
                continue
            for where, message in findings(kind, component, known):
                yield ("components", kind, name, *where), message
    yield from _resources(file)


def _unused(file: StackFile) -> Iterator[tuple[KeyPath, str]]:
    for kind, components in file.components.items():
        for name in components:
            if not any(parts.get(kind) == name for parts in file.stacks.values()):
                yield ("components", kind, name), "no stack uses it: remove it, or name it under `stacks`"


def _resources(file: StackFile) -> Iterator[tuple[KeyPath, str]]:
    from zenml.config import ResourceSettings

    unknown = sorted(set(file.settings.resources) - set(ResourceSettings.model_fields))
    for key in unknown:
        known = sorted(ResourceSettings.model_fields)
        yield ("settings", "resources", key), f"ZenML's ResourceSettings has no such field; known: {known}"
    try:
        ResourceSettings.model_validate({k: v for k, v in file.settings.resources.items() if k not in unknown})
    except ValidationError as error:
        for item in error.errors():
            yield ("settings", "resources", *(str(part) for part in item["loc"])), item["msg"]


def _modes(file: StackFile) -> Iterator[tuple[KeyPath, str]]:
    """The policy files decide; a stack file that promises more than they do is wrong."""
    policies = {policy.id: policy for policy in load_policies()}
    for unknown in sorted(set(file.policies.weaker) - set(policies)):
        yield ("policies", "weaker", unknown), f"there is no such policy; known: {sorted(policies)}"
    for policy in policies.values():
        mode = policy.mode_in(file.name)
        promised = file.policies.weaker.get(policy.id, file.policies.minimum)
        if _STRICTNESS.index(mode) < _STRICTNESS.index(promised):
            named = policy.id in file.policies.weaker
            where = ("policies", "weaker", policy.id) if named else ("policies", "minimum")
            yield where, f"promises {promised.value!r}, and policy {policy.id} is {mode.value!r} in {file.name!r}"


def _stacks(file: StackFile) -> list[StackFacts]:
    known = known_flavors(file.flavors)
    found = []
    for stack, parts in file.stacks.items():
        described = []
        for kind, name in parts.items():
            component = file.components[kind][name]
            flavor = known[kind, component.flavor]
            local = bool(typed_config(flavor, component).is_local)
            stored = stored_config(flavor, component)
            described.append(component_facts(kind, name, component.flavor, stored, local=local))
        found.append(
            StackFacts(name=stack, environment=file.name, used_for=file.name, components=tuple(described))
        )
    return found
