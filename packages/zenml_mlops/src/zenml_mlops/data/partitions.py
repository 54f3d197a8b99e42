"""Daily partitions that are replaced in one step: layout, commit, reading, cleaning up.

Layout below a root (a folder or any fsspec URL)::

    _runs/date=2026-01-05/<run id>/model_version=3/part-000.parquet    data of one run, never changed
    _runs/date=2026-01-05/<run id>/_manifest.json                      what that run wrote
    _runs/date=2026-01-05/<run id>/_PUBLISHED                          it was current once: history, kept
    date=2026-01-05/...                                                the current run of the day

A run writes below ``_runs``, where no reader looks. It becomes current by one atomic operation: on a local
file system ``date=…`` is a symbolic link, replaced by a rename, so a plain reader of ``date=…/**/*.parquet``
sees the old partition or the new one; on an object store, which has no links, ``date=…/_manifest.json`` is
one object, replaced by one PUT, and readers follow it. Every manifest names its files relative to the root,
so :meth:`PartitionStore.read` reads both alike. Names with a leading underscore are skipped by Arrow, Spark
and Hive.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import posixpath
from collections.abc import Iterable
from contextlib import suppress
from datetime import date
from typing import Any, Final
from uuid import uuid4

import fsspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem
from pydantic import BaseModel, ConfigDict

from zenml_airflow.contracts.frozen import Frozen

MANIFEST: Final = "_manifest.json"
PUBLISHED: Final = "_PUBLISHED"
SHARDS: Final = "_shards"
"""Folder of a run that holds what its shards wrote, until they are gathered."""
_RUNS: Final = "_runs"


class PartitionError(RuntimeError):
    """A partition is missing, damaged, or cannot be replaced."""


class StoredFile(Frozen):
    """One Parquet file of a partition.

    Attributes:
        path: Path relative to the root of its partitions.
    """

    path: str
    rows: int
    sha256: str


class PartitionManifest(BaseModel):
    """The part of a manifest that reading needs; writers add what they have to say.

    Attributes:
        zenml_run_id: Run that published it.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    partition_date: date
    zenml_run_id: str
    rows: int
    files: tuple[StoredFile, ...]


class PartitionStore:
    """The partitions below one root."""

    def __init__(self, root: str) -> None:
        # Other workers write below the same root: a remembered listing of an object store would hide that.
        self.fs, path = fsspec.core.url_to_fs(root, use_listings_cache=False)
        self.root = str(path).rstrip("/")
        self.links = isinstance(self.fs, LocalFileSystem)

    def run_path(self, day: date, run_id: str) -> str:
        """Folder of a run, relative to the root."""
        return f"{_RUNS}/{_name(day)}/{run_id}"

    def absolute(self, path: str) -> str:
        """Path on the file system of a path relative to the root."""
        return f"{self.root}/{path}"

    def open_new(self, path: str) -> Any:
        """Open a file of a run for writing, parents included."""
        target = self.absolute(path)
        self.fs.makedirs(posixpath.dirname(target), exist_ok=True)
        return self.fs.open(target, "wb")

    def put(self, path: str, payload: bytes) -> None:
        """Write a small file as a whole, parents included; a reader sees the old content or the new."""
        target = self.absolute(path)
        self.fs.makedirs(posixpath.dirname(target), exist_ok=True)
        self._replace(target, payload)

    def copied(self, file: StoredFile, path: str) -> StoredFile:
        """Copy a file of another run.

        Raises:
            PartitionError: If it is gone or was changed.
        """
        self.check(file)
        target = self.absolute(path)
        self.fs.makedirs(posixpath.dirname(target), exist_ok=True)
        self.fs.cp_file(self.absolute(file.path), target)
        return self.stored(path, file.rows)

    def stored(self, path: str, rows: int) -> StoredFile:
        """Describe a file that was written."""
        return StoredFile(path=path, rows=rows, sha256=file_sha256(self.fs, self.absolute(path)))

    def check(self, file: StoredFile) -> None:
        """Check that a file is there and unchanged.

        Raises:
            PartitionError: If not; another run of the same day may have taken over.
        """
        target = self.absolute(file.path)
        if not self.fs.exists(target):
            raise PartitionError(
                f"{file.path} is gone: a later run of the same day cleaned up unpublished files and took over. "
                "Clear this run from its first step if it is the one that should count."
            )
        found = file_sha256(self.fs, target)
        if found != file.sha256:
            raise PartitionError(
                f"{file.path} has sha256 {found}, recorded when it was written: {file.sha256}. It was damaged "
                "or changed; run the day again."
            )

    def remove_leftovers(self, day: date, keep_run: str) -> None:
        """Remove what attempts that never published left behind for a day.

        Another run of the same day that is still at work loses its files and stops with a sentence: of two
        attempts, the one that started last counts.
        """
        folder = self.absolute(f"{_RUNS}/{_name(day)}")
        current = self._current_run(day)
        for run in _children(self.fs, folder):
            name = posixpath.basename(run.rstrip("/"))
            if name == current and not self.fs.exists(f"{run}/{PUBLISHED}"):
                self._mark_published(run)
            if name not in {keep_run, current} and not self.fs.exists(f"{run}/{PUBLISHED}"):
                self.fs.rm(run, recursive=True)
            elif name != keep_run and self.fs.exists(f"{run}/{SHARDS}"):
                self.fs.rm(f"{run}/{SHARDS}", recursive=True)
        for entry in _children(self.fs, self.root):
            if posixpath.basename(entry).startswith(f"_link-{_name(day)}-"):
                self.fs.rm_file(entry)

    def check_replaceable(self, day: date) -> None:
        """Check that nothing foreign stands where the day's partition goes.

        Raises:
            PartitionError: If a folder stands there that this module did not put there.
        """
        place = self.absolute(_name(day))
        if self.links and os.path.lexists(place) and not os.path.islink(place):  # noqa: PTH114
            raise PartitionError(
                f"{place} is a folder that was not published by this project, so it is not replaced. Move it away."
            )

    def publish(self, day: date, run_path: str, manifest: PartitionManifest) -> str:
        """Make a run's folder the current partition of its day.

        Args:
            run_path: Folder of the run, relative to the root.

        Returns:
            Path of the manifest that readers follow, relative to the root.

        Raises:
            PartitionError: If a file is missing or changed, or the place of the partition is taken by
                something that this module did not put there. Nothing is replaced then.
        """
        self.check_replaceable(day)
        for file in manifest.files:
            self.check(file)
        payload = manifest.model_dump_json(indent=2).encode()
        folder = self.absolute(run_path)
        self._replace(f"{folder}/{MANIFEST}", payload)
        visible = f"{_name(day)}/{MANIFEST}"
        if self.links:
            self._swing_link(day, run_path)
        else:
            self.fs.pipe_file(self.absolute(visible), payload)
        self._mark_published(folder)
        return visible

    def manifest(self, day: date) -> dict[str, Any]:
        """Read the current manifest of a day.

        Raises:
            PartitionError: If the day has no partition.
        """
        try:
            payload = self.fs.cat_file(self.absolute(f"{_name(day)}/{MANIFEST}"))
        except FileNotFoundError:
            raise PartitionError(
                f"There is no partition of {day.isoformat()} below {self.root}: run batch_inference for that day."
            ) from None
        content: dict[str, Any] = json.loads(payload)
        return content

    def days(self) -> list[date]:
        """The days of which a run was current once, in order."""
        found = set()
        for folder in (self.root, self.absolute(_RUNS)):
            for path in _children(self.fs, folder):
                key, _, value = posixpath.basename(path.rstrip("/")).partition("=")
                with suppress(ValueError):
                    found |= {date.fromisoformat(value)} if key == "date" else set()
        return sorted(found)

    def history(self, day: date) -> list[dict[str, Any]]:
        """Manifests of every run that was current once, in order of publication."""
        runs = _children(self.fs, self.absolute(f"{_RUNS}/{_name(day)}"))
        published = [run for run in runs if self.fs.exists(f"{run}/{PUBLISHED}")]
        manifests = [json.loads(self.fs.cat_file(f"{run}/{MANIFEST}")) for run in published]
        return sorted(manifests, key=lambda content: str(content.get("published_at", "")))

    def column(self, file: StoredFile, name: str) -> npt.NDArray[Any]:
        """One column of a file; the other columns are not read."""
        with self.fs.open(self.absolute(file.path), "rb") as source:
            return np.asarray(pq.read_table(source, columns=[name], use_threads=False).column(name).to_numpy())

    def read(self, day: date, columns: list[str] | None = None) -> pd.DataFrame:
        """Read the current partition of a day: the rows of exactly one run.

        Raises:
            PartitionError: If there is none, or a file does not match the manifest.
        """
        manifest = PartitionManifest.model_validate(self.manifest(day))
        frames = []
        for file in manifest.files:
            payload = self.fs.cat_file(self.absolute(file.path))
            if hashlib.sha256(payload).hexdigest() != file.sha256:
                raise PartitionError(f"{file.path} does not match its manifest; run the day again.")
            frames.append(pd.read_parquet(io.BytesIO(payload), columns=columns, use_threads=False))
        frame = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
        if len(frame) != manifest.rows:
            raise PartitionError(f"{_name(day)} holds {len(frame)} rows, its manifest says {manifest.rows}.")
        return frame

    def _current_run(self, day: date) -> str | None:
        try:
            files = PartitionManifest.model_validate(self.manifest(day)).files
        except PartitionError:
            return None
        return files[0].path.split("/")[2] if files else None

    def _mark_published(self, folder: str) -> None:
        self.fs.pipe_file(f"{folder}/{PUBLISHED}", b"")

    def _replace(self, path: str, payload: bytes) -> None:
        if not self.links:
            self.fs.pipe_file(path, payload)
            return
        temporary = f"{path}.{uuid4().hex}"
        self.fs.pipe_file(temporary, payload)
        os.replace(temporary, path)  # noqa: PTH105 - an fsspec path is text

    def _swing_link(self, day: date, run_path: str) -> None:
        temporary = self.absolute(f"_link-{_name(day)}-{uuid4().hex}")
        os.symlink(run_path, temporary, target_is_directory=True)  # noqa: PTH211
        os.replace(temporary, self.absolute(_name(day)))  # noqa: PTH105


def file_sha256(fs: Any, path: str) -> str:
    """sha256 of a file, read in pieces."""
    with fs.open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_files(digests: Iterable[str]) -> str:
    """One digest for the files of a partition: the sha256 of the only file, or of all their sha256 in order."""
    found = list(digests)
    return found[0] if len(found) == 1 else hashlib.sha256("".join(found).encode()).hexdigest()


def read_predictions(root: str, day: date, columns: list[str] | None = None) -> pd.DataFrame:
    """Read the predictions of a day; see :meth:`PartitionStore.read`."""
    return PartitionStore(root).read(day, columns)


def read_quarantine(root: str, day: date) -> pd.DataFrame:
    """Read the quarantined rows of a day; see :meth:`PartitionStore.read`."""
    return PartitionStore(root).read(day)


def _name(day: date) -> str:
    return f"date={day.isoformat()}"


def _children(fs: Any, folder: str) -> list[str]:
    try:
        return [str(path) for path in fs.ls(folder, detail=False)]
    except FileNotFoundError:
        return []
