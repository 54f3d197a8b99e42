"""The archive that a bundle is: one plain tar file, in which each byte follows from the files.

It is not compressed, so nothing in it grows when it is read: the model is compressed already. The order, the
owners and the times of the members are fixed, so the same version gives the same bytes. A reader compares every
header and every byte between the files with what the writer would have written, and so no link, no second file
of the same name and no hidden rest can come along.
"""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from zenml_mlops.bundles.errors import TamperedError
from zenml_mlops.bundles.manifest import MANIFEST, SIGNATURE, Manifest, parse_manifest

_SMALL = 16 * 1024 * 1024
"""Largest manifest or signature in bytes."""

_CHUNK = 1 << 20


def write_archive(target: Path, manifest: Manifest, signature: bytes | None, files: Mapping[str, Path]) -> None:
    """Write a bundle.

    Args:
        signature: The signature of the manifest's bytes, if it is signed.
        files: The file on this machine of each path that the manifest names.
    """
    with target.open("wb") as out:
        _add(out, MANIFEST, manifest.content())
        if signature is not None:
            _add(out, SIGNATURE, signature)
        for file in manifest.files:
            out.write(_header(file.path, file.size))
            with files[file.path].open("rb") as content:
                shutil.copyfileobj(content, out, _CHUNK)
            out.write(_padding(file.size))
        out.write(_end(out.tell()))


class Archive:
    """A bundle that is read; every file is compared with the manifest while it is.

    Attributes:
        signature: Its signature, if there is one; not verified here.
    """

    def __init__(self, file: IO[bytes], size: int) -> None:
        """Read manifest and signature, and compare all that lies between the files.

        Args:
            size: Its size in bytes.

        Raises:
            TamperedError: If it is not an archive as :func:`write_archive` writes it.
        """
        self._file, self._places = file, dict[str, int]()
        self.content = self._small(MANIFEST)
        self.manifest = parse_manifest(self.content)
        here = file.tell()
        self.signature = self._small(SIGNATURE) if self._named(here) == SIGNATURE else None
        for entry in self.manifest.files:
            self._expect(_header(entry.path, entry.size), entry.path)
            self._places[entry.path] = file.tell()
            file.seek(entry.size, 1)
            self._expect(_padding(entry.size), entry.path)
        self._expect(_end(file.tell()), "its end")
        if file.tell() != size:
            raise TamperedError(f"The bundle has {size - file.tell()} bytes after its end: it was added to.")

    def check(self) -> None:
        """Compare every file with its sha256.

        Raises:
            TamperedError: If one is another than the manifest says.
        """
        for entry in self.manifest.files:
            digest = hashlib.sha256()
            for block in self.blocks(entry.path):
                digest.update(block)
            if digest.hexdigest() != entry.sha256:
                raise TamperedError(
                    f"The file {entry.path} of the bundle has sha256 {digest.hexdigest()}, its manifest says "
                    f"{entry.sha256}: it was changed or damaged on the way. Fetch the bundle again."
                )

    def blocks(self, path: str) -> Iterator[bytes]:
        """The content of a file, block by block."""
        left = next(entry.size for entry in self.manifest.files if entry.path == path)
        self._file.seek(self._places[path])
        while left > 0:
            block = self._file.read(min(left, _CHUNK))
            if not block:
                raise TamperedError(f"The bundle ends within {path}: fetch it again.")
            left -= len(block)
            yield block

    def read(self, path: str) -> bytes:
        """The content of a file."""
        return b"".join(self.blocks(path))

    def _named(self, offset: int) -> str:
        self._file.seek(offset)
        name = self._file.read(tarfile.BLOCKSIZE)[:100].rstrip(b"\0")
        self._file.seek(offset)
        return name.decode("ascii", "replace")

    def _small(self, name: str) -> bytes:
        block = self._file.read(tarfile.BLOCKSIZE)
        try:
            size = tarfile.TarInfo.frombuf(block, "ascii", "strict").size
        except (tarfile.HeaderError, ValueError):
            size = -1
        if not 0 < size <= _SMALL or block != _header(name, size):
            raise TamperedError(
                f"This is not a bundle: it does not begin with {name} as `mlops export` writes it."
            )
        content = self._file.read(size)
        self._expect(_padding(size), name)
        return content

    def _expect(self, expected: bytes, where: str) -> None:
        if self._file.read(len(expected)) != expected:
            raise TamperedError(
                f"The bundle does not match its manifest at {where}: a file was added, taken away or "
                "damaged on the way. Fetch the bundle again."
            )


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open a bundle on this machine; see :class:`Archive`."""
    with path.open("rb") as file:
        yield Archive(file, path.stat().st_size)


def _add(out: IO[bytes], name: str, content: bytes) -> None:
    out.write(_header(name, len(content)) + content + _padding(len(content)))


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _end(written: int) -> bytes:
    end = 2 * tarfile.BLOCKSIZE
    return bytes(end + -(written + end) % tarfile.RECORDSIZE)
