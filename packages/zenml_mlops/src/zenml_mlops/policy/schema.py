"""What a policy file holds, and how the files are read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator

from zenml_airflow.contracts.frozen import Frozen
from zenml_mlops.policy.facts import Scope
from zenml_mlops.policy.places import governance_dir
from zenml_mlops.policy.rules.catalog import rules
from zenml_mlops.policy.rules.registry import Parameters, Rule
from zenml_mlops.yaml_files import YAMLError, read_yaml

SCHEMA_FILE = "schema.json"


class PolicyFileError(ValueError):
    """A policy file is wrong. The message names every problem."""


class Mode(StrEnum):
    """What a violation does."""

    OFF = "off"
    """Nothing is judged."""
    DRY_RUN = "dry_run"
    """It is judged and reported, and stops nothing."""
    ENFORCE = "enforce"
    """It stops what was to happen."""


class Severity(StrEnum):
    """How bad a violation is, as SARIF readers sort it."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Policy(Frozen):
    """One policy: a rule, its parameters, and what a violation does in each environment.

    Attributes:
        id: Short name, as verdicts, waivers and import errors give it.
        title: What is demanded, in a few words.
        rationale: Why.
        remedy: What whoever broke it does about it.
        severity: How bad a violation is.
        scope: What it judges; the scope of its rule.
        rule: Name of the function that judges.
        parameters: Parameters of the rule.
        per_environment: Parameters that differ, by environment; laid over ``parameters``.
        mode: What a violation does, by environment. An environment that is not named enforces.
    """

    id: str = Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")
    title: str = Field(min_length=1)
    rationale: str = Field(min_length=1)
    remedy: str = Field(min_length=1)
    severity: Severity
    scope: Scope
    rule: str
    parameters: dict[str, Any] = {}
    per_environment: dict[str, dict[str, Any]] = {}
    mode: dict[str, Mode]

    @field_validator("mode", mode="before")
    @classmethod
    def _off_is_no_boolean(cls, value: Any) -> Any:
        # YAML 1.1 reads a bare ``off`` as False.
        if isinstance(value, dict):
            return {key: Mode.OFF if mode is False else mode for key, mode in value.items()}
        return value

    def mode_in(self, environment: str) -> Mode:
        """What a violation does in an environment; one that nobody named gets the strictest."""
        return self.mode.get(environment, Mode.ENFORCE)

    def parameters_in(self, environment: str) -> Parameters:
        """The parameters of the rule in an environment, checked."""
        known = rules()[self.rule].parameters
        return known.model_validate({**self.parameters, **self.per_environment.get(environment, {})})


class PolicyFile(Frozen):
    """A policy file."""

    policies: tuple[Policy, ...] = Field(min_length=1)


def load_policies(folder: Path | None = None) -> tuple[Policy, ...]:
    """Read every policy file of a folder, by name of the file: by default those of the project.

    Raises:
        PolicyFileError: If there is none, or any is wrong: an unknown key, rule or parameter, an id that stands
            twice. All problems at once.
    """
    folder = folder or governance_dir() / "policies"
    return _load(folder, tuple((path, path.stat().st_mtime_ns) for path in sorted(folder.glob("*.yaml"))))


@cache
def _load(folder: Path, files: tuple[tuple[Path, int], ...]) -> tuple[Policy, ...]:
    problems: list[str] = []
    found: dict[str, Policy] = {}
    known = rules()
    for path, _ in files:
        for policy in _read(path, problems):
            where = f"{path.name}: policy {policy.id!r}"
            if policy.id in found:
                problems.append(f"{where} is used twice")
            found[policy.id] = policy
            problems += [f"{where}: {problem}" for problem in _problems(policy, known)]
    if not files:
        problems.append(f"no policy file (*.yaml) in {folder.name}/")
    if problems:
        raise PolicyFileError("The policies cannot be used:\n" + "\n".join(f"- {problem}" for problem in problems))
    return tuple(found.values())


def _read(path: Path, problems: list[str]) -> Iterable[Policy]:
    try:
        return PolicyFile.model_validate(read_yaml(path)).policies
    except YAMLError as error:
        problems.append(f"{path.name} is not valid YAML: {error}")
    except ValidationError as error:
        problems += [f"{path.name}: {problem}" for problem in describe(error)]
    return ()


def _problems(policy: Policy, known: dict[str, Rule]) -> list[str]:
    rule = known.get(policy.rule)
    if rule is None:
        return [f"there is no rule {policy.rule!r}; known: {sorted(known)}"]
    problems = []
    if rule.scope is not policy.scope:
        problems.append(f"rule {policy.rule!r} judges a {rule.scope}, not a {policy.scope}")
    for environment in {"", *policy.mode, *policy.per_environment}:
        if environment and policy.mode_in(environment) is Mode.OFF:
            continue
        try:
            policy.parameters_in(environment)
        except ValidationError as error:
            suffix = f" in {environment}" if environment in policy.per_environment else ""
            problems += [f"parameter {problem}{suffix}" for problem in describe(error)]
    return list(dict.fromkeys(problems))


def describe(error: ValidationError) -> list[str]:
    """Every problem of a failed validation, as ``place: reason``."""
    return [
        f"{'.'.join(str(part) for part in item['loc']) or 'the file'}: {item['msg']}" for item in error.errors()
    ]


def json_schema() -> str:
    """The JSON Schema of a policy file, for editors: ``governance/policies/schema.json`` holds it."""
    return json.dumps(PolicyFile.model_json_schema(), indent=2, sort_keys=True) + "\n"
