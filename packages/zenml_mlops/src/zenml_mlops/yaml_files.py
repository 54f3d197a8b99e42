"""YAML as ``yaml.safe_load`` reads it, in C where the library has it: each run reads policies and contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from yaml import YAMLError

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:
    from yaml import SafeLoader  # type: ignore[assignment]

__all__ = ["YAMLError", "read_yaml"]


def read_yaml(path: Path) -> Any:
    """Read one document.

    Raises:
        FileNotFoundError: If there is no such file.
        YAMLError: If it is not valid YAML.
    """
    return yaml.load(path.read_text(encoding="utf-8"), Loader=SafeLoader)
