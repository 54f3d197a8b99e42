"""Take the published CSV out of whatever it arrives in, and believe nothing but its digest."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Final

from zenml_mlops.data.errors import DataError
from zenml_mlops.data.files import sha256_of, temporary_file
from zenml_mlops.data.source import Accepted, PublicSource
from zenml_pipelines.use_case.schema import CSV_NAME, MAPPING_NAME, PUBLISHED_SHA256, read_ids_mapping

PUBLIC: Final = PublicSource(
    name="uci",
    url="https://archive.ics.uci.edu/static/public/296/diabetes+130-us+hospitals+for+years+1999-2008.zip",
    sha256=PUBLISHED_SHA256,
)

MAX_CSV_BYTES: Final = 64 * 1024 * 1024
"""The published CSV has 19 MB; a larger member is no encounter file, or a zip bomb."""

MAX_MAPPING_BYTES: Final = 1024 * 1024
_BLOCK = 1024 * 1024


@contextmanager
def published_files(source: Path, folder: Path, origin: str) -> Iterator[Accepted]:
    """Copy the published files out of a CSV or zip archive into temporary files in ``folder``.

    Member names only choose what is read; nothing is written under a name that an archive contains.

    Args:
        source: The CSV or archive, told apart by content.
        folder: Where the temporary files go, so that moving them into place is atomic.
        origin: What to call the source in an error.

    Raises:
        DataError: If the CSV is not in there exactly once, is too large, cannot be unpacked, or is not the
            published one by digest.
    """
    with temporary_file(folder, CSV_NAME) as csv, temporary_file(folder, MAPPING_NAME) as mapping:
        if zipfile.is_zipfile(source):
            has_mapping = _unzip(source, csv, mapping, origin)
        else:
            with source.open("rb") as file:
                _copy(file, csv, MAX_CSV_BYTES, origin)
            beside = source.with_name(MAPPING_NAME)
            has_mapping = beside.is_file()
            if has_mapping:
                with beside.open("rb") as file:
                    _copy(file, mapping, MAX_MAPPING_BYTES, beside.name)
        digest = sha256_of(csv)
        if digest != PUBLISHED_SHA256:
            raise DataError(
                f"The CSV from {origin} is not the published {CSV_NAME}: its sha256 is {digest}, published "
                f"is {PUBLISHED_SHA256}. Nothing was kept. Fetch it from UCI (`--source uci`), or work with "
                "generated encounters (`--source synthetic`)."
            )
        if has_mapping:
            read_ids_mapping(mapping)
        yield Accepted(csv, {MAPPING_NAME: mapping} if has_mapping else {})


def _unzip(source: Path, csv: Path, mapping: Path, origin: str) -> bool:
    """Unpack both files; return whether the mapping was there."""
    try:
        with zipfile.ZipFile(source) as archive:
            _extract(archive, _member(archive, CSV_NAME, origin, required=True), csv, MAX_CSV_BYTES, origin)
            member = _member(archive, MAPPING_NAME, origin, required=False)
            if member is not None:
                _extract(archive, member, mapping, MAX_MAPPING_BYTES, origin)
            return member is not None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"The archive from {origin} cannot be unpacked: {error}. Get a fresh copy.") from error


def _member(archive: zipfile.ZipFile, name: str, origin: str, *, required: bool) -> zipfile.ZipInfo | None:
    found = [
        info
        for info in archive.infolist()
        if not info.is_dir()
        and PurePosixPath(info.filename.replace("\\", "/")).name == name
        # macOS archives carry a shadow of every file here.
        and not info.filename.startswith("__MACOSX/")
    ]
    if len(found) > 1 or (required and not found):
        held = sorted(info.filename for info in archive.infolist() if not info.is_dir())
        raise DataError(
            f"The archive from {origin} must hold {name} once; found it {len(found)} times among "
            f"{len(held)} files ({', '.join(held[:5])}{', …' if len(held) > 5 else ''})."
        )
    return found[0] if found else None


def _extract(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo | None, target: Path, limit: int, origin: str
) -> None:
    if member is None:
        return
    with archive.open(member) as file:
        _copy(file, target, limit, f"{origin} ({member.filename})")


def _copy(source: IO[bytes], target: Path, limit: int, origin: str) -> None:
    """Copy at most ``limit`` bytes, counting what arrives: a size that an archive states may be a lie."""
    copied = 0
    with target.open("wb") as out:
        while block := source.read(_BLOCK):
            copied += len(block)
            if copied > limit:
                raise DataError(f"{origin} holds more than {limit:,} bytes, so it is not the published file.")
            out.write(block)
