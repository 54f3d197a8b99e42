"""Change values in a YAML document and leave all else, comments too, as it stands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml


def edited(text: str, values: Mapping[str, Any]) -> str:
    """The document with other values.

    Args:
        text: A YAML document.
        values: The new value by path, such as ``pipelines.training.seed``. It is written in one line.

    Raises:
        KeyError: If the document has no such path.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    spans = sorted(((*_span(root, path, text), value) for path, value in values.items()), reverse=True)
    for start, end, value in spans:
        # JSON is YAML, in one line.
        text = f"{text[:start]}{json.dumps(value, ensure_ascii=False)}{text[end:]}"
    return text


def _span(node: yaml.Node | None, path: str, text: str) -> tuple[int, int]:
    for part in path.split("."):
        children = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for key, value in children if key.value == part), None)
    if node is None:
        raise KeyError(f"The configuration has no {path}.")
    start, end = int(node.start_mark.index), int(node.end_mark.index)
    # A block ends where the next token begins.
    return start, start + len(text[start:end].rstrip())
