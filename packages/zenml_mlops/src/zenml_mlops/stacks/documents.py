"""YAML files that remember where each value stands, and that may extend one another.

Every value keeps the file and the line it was read from, through anchors and ``extends`` too, so that what is
wrong with the whole can be said where it is to be mended.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from zenml_mlops.stacks.problems import Place, Problem, StackFileError

EXTENDS = "extends"
KeyPath = tuple[str, ...]

_PLAIN = frozenset({"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})


@dataclass(frozen=True)
class Document:
    """A YAML mapping and the place of each of its values.

    Attributes:
        content: The values, as ``yaml.safe_load`` reads them.
        places: Place by path of keys and list positions; the empty path is the file's own.
    """

    content: dict[str, Any]
    places: Mapping[KeyPath, Place] = field(default_factory=dict)

    def place(self, path: KeyPath) -> Place:
        """Where a value stands, or the nearest one around it that was written."""
        while path not in self.places:
            path = path[:-1]
        return self.places[path]

    def problem(self, path: KeyPath, message: str) -> Problem:
        """A problem of the value at a path."""
        return Problem(self.place(path), ".".join(path), message)


def read_document(path: Path) -> Document:
    """Read one file, without what it extends.

    Raises:
        StackFileError: If it is missing, is not plain YAML, holds no mapping, or a key stands twice.
    """
    top = Place(path.name, 1)
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError):
        raise StackFileError([Problem(top, "", f"there is no such file: add {path.name}")]) from None
    except UnicodeDecodeError as error:
        raise StackFileError([Problem(top, "", f"is not UTF-8: {error}")]) from error
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        reader = _Reader(path.name, loader)
        content = {} if node is None else reader.read(node, (), ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(path.name, mark.line + 1 if mark else 1)
        raise StackFileError([Problem(place, "", f"is not valid YAML: {error.problem}")]) from error
    except yaml.YAMLError as error:
        raise StackFileError([Problem(top, "", f"is not valid YAML: {error}")]) from error
    finally:
        loader.dispose()
    if not isinstance(content, dict):
        reader.problems.append(Problem(top, "", f"must hold a mapping, found {type(content).__name__}"))
    if reader.problems:
        raise StackFileError(reader.problems)
    return Document(content, {(): top, **reader.places})


def read_extended(path: Path) -> Document:
    """Read a file laid over the one that it extends, which may extend another one.

    Mappings are merged key by key; any other value replaces the one below, and ``null`` removes it.

    Raises:
        StackFileError: If a file is wrong, or the files extend one another in a circle.
    """
    chain: list[tuple[Path, Document]] = []
    while True:
        document = read_document(path)
        chain.append((path, document))
        base = document.content.get(EXTENDS)
        if base is None:
            break
        here = (EXTENDS,)
        if not isinstance(base, str) or Path(base).name != base:
            message = f"names a file of the same folder, found {base!r}"
            raise StackFileError([document.problem(here, message)])
        path = path.with_name(base)
        if any(path == known for known, _ in chain):
            circle = " -> ".join([*(known.name for known, _ in chain), path.name])
            raise StackFileError([document.problem(here, f"the files extend one another in a cycle: {circle}")])
        if not path.is_file():
            raise StackFileError([document.problem(here, f"there is no file {base!r} in {path.parent.name}/")])
    content: dict[str, Any] = {}
    places: dict[KeyPath, Place] = {}
    for _, document in reversed(chain):
        content = _merge(content, document.content)
        places |= document.places
    content.pop(EXTENDS, None)
    return Document(content, places)


def leaves(content: Mapping[str, Any], path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Every value that is no mapping, with its path; an empty mapping counts as a value."""
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, (*path, str(key)))
        else:
            yield (*path, str(key)), value


class _Reader:
    """Builds plain values from nodes, as the safe constructor does, and notes where each stands."""

    def __init__(self, file: str, loader: yaml.SafeLoader) -> None:
        self.file = file
        self.loader = loader
        self.places: dict[KeyPath, Place] = {}
        self.problems: list[Problem] = []
        self._checked: list[yaml.Node] = []

    def read(self, node: yaml.Node, path: KeyPath, around: tuple[yaml.Node, ...]) -> Any:
        if node in around:
            self.problems.append(Problem(self._place(node), ".".join(path), "an alias contains itself"))
            return None
        around = (*around, node)
        if not isinstance(node, yaml.ScalarNode) and node.tag not in _PLAIN:
            self.problems.append(
                Problem(self._place(node), ".".join(path), f"has the tag {node.tag!r}: remove it")
            )
            return None
        if isinstance(node, yaml.MappingNode):
            if node not in self._checked:
                self._checked.append(node)
                self._unique(node, path)
                # Writes what ``<<`` names into the node itself, so that a second alias of it holds keys twice.
                self.loader.flatten_mapping(node)
            read: dict[str, Any] = {}
            for key_node, value_node in node.value:
                key = str(key_node.value)
                self.places[*path, key] = self._place(key_node)
                read[key] = self.read(value_node, (*path, key), around)
            return read
        if isinstance(node, yaml.SequenceNode):
            items = []
            for position, item in enumerate(node.value):
                self.places[*path, str(position)] = self._place(item)
                items.append(self.read(item, (*path, str(position)), around))
            return items
        return self.loader.construct_object(node)

    def _unique(self, node: yaml.MappingNode, path: KeyPath) -> None:
        """YAML forbids a key that stands twice; PyYAML silently takes the last."""
        seen: dict[str, Place] = {}
        for key_node, _ in node.value:
            key, place = str(key_node.value), self._place(key_node)
            if key in seen:
                message = f"the key is used twice, first on line {seen[key].line}"
                self.problems.append(Problem(place, ".".join((*path, key)), message))
            seen[key] = place

    def _place(self, node: yaml.Node) -> Place:
        return Place(self.file, node.start_mark.line + 1)


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        known = merged.get(key)
        if isinstance(value, dict):
            merged[key] = _merge(known if isinstance(known, dict) else {}, value)
        elif value is None:
            merged.pop(key, None)
        else:
            merged[key] = value
    return merged
