"""Files that appear whole, and their digests."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def temporary_file(folder: Path, name: str) -> Iterator[Path]:
    """Yield a new empty file in ``folder``, whence a rename is atomic; remove it unless it was renamed."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=f".{name}.", suffix=".tmp", delete=False) as file:
        path = Path(file.name)
    try:
        # mkstemp makes private files; these are to be read by whoever may read the folder.
        path.chmod(0o644)
        yield path
    finally:
        path.unlink(missing_ok=True)
