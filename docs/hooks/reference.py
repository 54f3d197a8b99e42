"""Write the reference pages from the code: commands, rules and policies, configuration, manifest."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import TYPE_CHECKING, Any

import typer
from mkdocs.structure.files import File
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from pydantic.fields import FieldInfo

_SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
_WORDS = {"min_length": "at least {} long", "max_length": "at most {} long", "pattern": "matches `{}`"}


def on_files(files: Files, *, config: MkDocsConfig, **_: Any) -> Files:
    """Add the reference to the pages that are built."""
    pages = {
        "commands": commands_page,
        "policies": policies_page,
        "configuration": configuration_page,
        "manifest": manifest_page,
    }
    for name, page in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=page()))
    return files


def commands_page() -> str:
    """Each command of ``mlops`` with its help, its arguments and its options."""
    from zenml_mlops.cli.app import app

    parts = [
        "# Commands",
        "What each command's `--help` says. [The command line](../cli.md) has what all have in common: exit "
        "codes, JSON.",
    ]
    for name, command in commands(typer.main.get_command(app)):
        parts += [f"## {name}", _text(command.help or "")]
        rows = [row for parameter in command.params if (row := _parameter(parameter))]
        if rows:
            parts.append(_table(["argument or option", "what it is for", "default"], rows))
    return _page(parts)


def commands(command: Any, path: str = "mlops") -> Iterator[tuple[str, Any]]:
    """Name and command of everything that can be called, in the order of its names."""
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, child in sorted(command.commands.items()):
        if not child.hidden:
            yield from commands(child, f"{path} {name}")


def policies_page() -> str:
    """Each rule with its parameters, and the policies that name it."""
    from zenml_mlops.policy.rules.catalog import rules
    from zenml_mlops.policy.schema import load_policies

    policies = load_policies()
    parts = [
        "# Policies and rules",
        "A rule is a function, a policy is an entry in `governance/policies/` that names a rule, with parameters "
        "and modes. [Policies](../policies.md) says where they are asked and what a mode does.",
    ]
    for name, rule in sorted(rules().items()):
        parts += [f"## {name}", _text(inspect.getdoc(rule.check) or ""), f"Judges: {rule.scope.value}."]
        if rule.parameters.model_fields:
            parts += [f"Parameters: {_summary(rule.parameters)}", _fields(rule.parameters)]
        for policy in policies:
            if policy.rule != name:
                continue
            modes = ", ".join(f"{environment} `{mode.value}`" for environment, mode in policy.mode.items())
            parts += [
                f"### {policy.id}",
                _text(f"{policy.title}. {policy.rationale}"),
                "\n".join(
                    [
                        f"- severity: {policy.severity.value}",
                        f"- modes: {modes}",
                        f"- the way out: {_cell(policy.remedy)}",
                        *[f"- `{key}`: {_value(value)}" for key, value in policy.parameters.items()],
                        *[
                            f"- `{key}` in {environment}: {_value(value)}"
                            for environment, parameters in policy.per_environment.items()
                            for key, value in parameters.items()
                        ],
                    ]
                ),
            ]
    return _page(parts)


def configuration_page() -> str:
    """The configuration of each pipeline, and of the parts that it is made of."""
    from zenml_airflow import Provenance
    from zenml_mlops.inference.config import BatchInferenceConfig
    from zenml_mlops.monitoring.config import MonitoringConfig
    from zenml_mlops.training.config import ChampionChallengerConfig, TrainingConfig

    roots: list[type[BaseModel]] = [
        TrainingConfig,
        BatchInferenceConfig,
        ChampionChallengerConfig,
        MonitoringConfig,
        Provenance,
    ]
    return _page(
        [
            "# Configuration of the pipelines",
            "What a pipeline is given, built from `configs/base.yaml` and the file of the environment that is "
            "merged over it. An unknown key and a value out of range are errors that name the field.",
            *_models(roots),
        ]
    )


def manifest_page() -> str:
    """The fields of a manifest."""
    from zenml_airflow.manifest import manifest

    return _page(
        [
            "# The manifest",
            f"Schema version {manifest.SCHEMA_VERSION}. Sorted, indented JSON that a deployment writes and that a "
            "DAG file reads. It holds no credential and no path of a machine.",
            *_models([manifest.Manifest]),
        ]
    )


def _models(roots: Iterable[type[BaseModel]]) -> Iterator[str]:
    """A section for each model, and after it those that its fields are of."""
    waiting, seen = list(roots), set()
    while waiting:
        model = waiting.pop(0)
        if model in seen:
            continue
        seen.add(model)
        yield f"## {model.__name__}"
        yield _summary(model)
        yield _fields(model)
        inner = [part for field in model.model_fields.values() for part in _parts(field.annotation)]
        waiting = [*dict.fromkeys(inner), *waiting]


def _parts(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _parts(argument)


def _fields(model: type[BaseModel]) -> str:
    texts = _attributes(model)
    rows = [
        [
            f"`{name}`",
            _cell(_type(field.annotation)),
            _cell(_limits(field)),
            "" if field.default is PydanticUndefined else _value(field.default),
            _cell(texts.get(name) or field.description or ""),
        ]
        for name, field in model.model_fields.items()
    ]
    return _table(["field", "type", "limits", "default", "what it says"], rows)


def _limits(field: FieldInfo) -> str:
    found = []
    for limit in field.metadata:
        found += [f"{sign} {getattr(limit, key)}" for key, sign in _SIGNS.items() if hasattr(limit, key)]
        found += [
            words.format(value)
            for key, words in _WORDS.items()
            if (value := getattr(limit, key, None)) is not None
        ]
    return ", ".join(found)


def _type(annotation: Any) -> str:
    """An annotation as its reader would say it; an Enum as its values."""
    if annotation is None or annotation is type(None):
        return "none"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " or ".join(f"`{member.value}`" for member in annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(_type, arguments))
    if origin is typing.Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin is dict:
        return f"mapping of {_type(arguments[0])} to {_type(arguments[1])}"
    if origin in (tuple, list, set, frozenset):
        inner = list(dict.fromkeys(_type(item) for item in arguments if item is not Ellipsis))
        return f"list of {', '.join(inner)}"
    return str(getattr(annotation, "__name__", annotation))


def _attributes(model: type[BaseModel]) -> dict[str, str]:
    """What the docstring says of each attribute, those of the base classes included."""
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        text = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")[2]
        for entry in re.split(r"\n(?= {4}\w)", f"\n{text}"):
            name, separator, rest = entry.strip().partition(":")
            if separator and name.isidentifier():
                found[name] = " ".join(rest.split())
    return found


def _summary(model: type[BaseModel]) -> str:
    return _text(inspect.cleandoc(model.__doc__ or "").partition("Attributes:")[0])


def _parameter(parameter: Any) -> list[str] | None:
    """A row on an argument or an option; ``None`` for one that is not shown."""
    if getattr(parameter, "hidden", False) or "--help" in parameter.opts:
        return None
    argument = parameter.param_type_name == "argument"
    names = [parameter.name.upper()] if argument else [*parameter.opts, *parameter.secondary_opts]
    default = parameter.default
    shown = "required" if parameter.required else ""
    if isinstance(default, Enum):
        default = default.value
    if isinstance(default, str | int | float) and not isinstance(default, bool) and str(default):
        shown = f"`{default}`"
    return [" ".join(f"`{name}`" for name in names), _cell(getattr(parameter, "help", None) or ""), shown]


def _text(text: str) -> str:
    """A docstring as Markdown: roles of reStructuredText become plain code."""
    text = re.sub(r":[a-z]+:`~?\.?([^`]+)`", r"`\1`", inspect.cleandoc(text))
    return text.replace("<", "&lt;") if "`" not in text else text


def _cell(text: Any) -> str:
    return " ".join(_text(str(text)).split()).replace("|", "\\|")


def _value(value: Any) -> str:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, dict):
        return ", ".join(f"`{key}` {_value(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(_value(item) for item in value) or "none"
    if value is None:
        return "none"
    return "empty" if value == "" else _cell(f"`{value}`")


def _table(head: list[str], rows: list[list[str]]) -> str:
    """A table without the columns in which nothing stands."""
    kept = [index for index in range(len(head)) if any(row[index] for row in rows)]
    lines = [[head[index] for index in kept], ["---"] * len(kept)]
    lines += [[row[index] for index in kept] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _page(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"
