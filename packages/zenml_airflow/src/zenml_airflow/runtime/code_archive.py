"""The code that travels with a snapshot: archived when deployed, unpacked where a step runs.

ZenML uploads code only for container builds. Steps that run in Airflow's own processes need it just as
much: a DAG run that has started must finish on the code that it started with, whatever is checked out or
synced in the meantime.
"""

from __future__ import annotations

import compileall
import gzip
import hashlib
import io
import os
import py_compile
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Protocol


class CodeArchiveError(RuntimeError):
    """The code of a snapshot is missing or is not what the manifest says."""


class ArtifactStore(Protocol):
    """What is asked of a stack's artifact store: ZenML's own object reads and writes with its own credentials.

    They are those of its service connector, its secret or its configuration; whatever the process itself may
    do is asked only where the component names none.
    """

    @property
    def path(self) -> str:
        """Root of everything in it: a path or a URL."""
        ...

    def exists(self, path: Any) -> bool:
        """Whether there is something at a path."""
        ...

    def makedirs(self, path: Any) -> None:
        """Make a folder and those above it."""
        ...

    def open(self, path: Any, mode: str = "r") -> IO[bytes]:
        """Open a file."""
        ...

    def rename(self, src: Any, dst: Any, overwrite: bool = False) -> None:
        """Move a file."""
        ...


def build_archive(root: Path, packages: Sequence[str]) -> tuple[bytes, str]:
    """Pack Python packages into a reproducible ``tar.gz``.

    Returns:
        The archive and its sha256. Equal sources give equal bytes: names are sorted, owners, modes and times
        are fixed.

    Raises:
        CodeArchiveError: If a package does not exist.
    """
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for package in sorted(packages):
            if not (root / package).is_dir():
                raise CodeArchiveError(f"No package {package!r} in the project: nothing to deploy.")
            for path in sorted((root / package).rglob("*")):
                if not path.is_file() or "__pycache__" in path.parts:
                    continue
                info = tarfile.TarInfo(path.relative_to(root).as_posix())
                info.size = path.stat().st_size
                info.mode = 0o644
                with path.open("rb") as handle:
                    archive.addfile(info, handle)
    content = buffer.getvalue()
    return content, hashlib.sha256(content).hexdigest()


def upload_archive(content: bytes, digest: str, store: ArtifactStore) -> None:
    """Keep an archive in an artifact store, unless it is there already."""
    path = _archive_path(store, digest)
    if store.exists(path):
        return
    store.makedirs(path.rsplit("/", 1)[0])
    partial = f"{path}.{os.getpid()}.tmp"
    with store.open(partial, "wb") as handle:
        handle.write(content)
    store.rename(partial, path, overwrite=True)


def fetch_code(digest: str, store: ArtifactStore, cache: Path) -> Path:
    """Return a folder with the unpacked code, taking it from the cache where it is there.

    Args:
        digest: sha256 of the archive.
        cache: Folder of unpacked archives, one folder a digest.

    Raises:
        CodeArchiveError: If the archive is missing or its digest differs.
    """
    target = cache / digest
    if target.is_dir():
        return target
    try:
        with store.open(_archive_path(store, digest), "rb") as handle:
            content = handle.read()
    except FileNotFoundError:
        raise CodeArchiveError(
            f"The artifact store holds no code archive {digest[:12]}: it was deleted, or the pipeline was "
            "deployed to another store. Deploy it again with `mlops deploy`."
        ) from None
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise CodeArchiveError(
            f"The code archive does not match the manifest: expected sha256 {digest}, found {found}. "
            "It was changed after the deployment; deploy again."
        )
    cache.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{digest[:12]}-", dir=cache))
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            archive.extractall(scratch, filter="data")
        # Each task imports it in a process of its own, and may be told to write no byte code. All sources are of
        # one time, so the byte code is held against what they say.
        compileall.compile_dir(scratch, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
        try:
            scratch.rename(target)
        except OSError:
            # Another task unpacked the same digest in the meantime.
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def activate_code(folder: Path) -> None:
    """Make ``folder`` the place that its packages are imported from in this process.

    Packages of the same name that were imported from elsewhere are forgotten, so that the steps run the code
    of their own version.
    """
    packages = {entry.name for entry in folder.iterdir() if entry.is_dir()}
    for name in [name for name in sys.modules if name.split(".", 1)[0] in packages]:
        origin = getattr(sys.modules[name], "__file__", None)
        if origin is None or not Path(origin).is_relative_to(folder):
            del sys.modules[name]
    # To the front even where it stands further back: the version of an earlier run may have come before it.
    sys.path[:] = [str(folder), *(entry for entry in sys.path if entry != str(folder))]


def _archive_path(store: ArtifactStore, digest: str) -> str:
    return f"{store.path.rstrip('/')}/code_uploads/{digest}.tar.gz"
