"""ZenML's own files are replaced in one move, so that processes side by side never read half of one.

Every process that opens ZenML's store writes ZenML's ``config.yaml`` some six times (ZenML 0.98), by emptying the
file and filling it. A process that starts at that moment finds it empty: it takes the default stack, invents
another user id, turns analytics on and writes that down. Of 150 processes, six at a time, 12 did. Where two write
at once, the end of the longer text stays behind the shorter one, and whoever reads it fails with a
``ScannerError``: a task that has no try left is failed.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any

import wrapt

YAML_UTILS = "zenml.utils.yaml_utils"


def replace_zenml_files_whole() -> None:
    """Change how ZenML writes YAML files in this process: now if it is imported, else as soon as it is."""
    wrapt.register_post_import_hook(_wrap, YAML_UTILS)


def _wrap(module: Any) -> None:
    module.write_yaml = _written_atomically(module.write_yaml)


def _written_atomically(write: Callable[..., None]) -> Callable[..., None]:
    """Write another file in the same folder and put it in the place of the old one, with its permissions."""

    @wraps(write)
    def write_atomically(file_path: str, *others: Any, **options: Any) -> None:
        target = Path(file_path).resolve()
        try:
            descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        except OSError:
            # Another kind of store, a folder that is missing or may not be written to: ZenML knows what to say.
            write(file_path, *others, **options)
            return
        os.close(descriptor)
        temporary = Path(name)
        try:
            write(name, *others, **options)
            with suppress(FileNotFoundError):
                temporary.chmod(stat.S_IMODE(target.stat().st_mode))
            try:
                temporary.replace(target)
            except OSError:
                # A file that a container mounts alone cannot be replaced.
                write(file_path, *others, **options)
        finally:
            temporary.unlink(missing_ok=True)

    return write_atomically
