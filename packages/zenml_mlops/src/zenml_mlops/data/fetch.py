"""Bring the source data into the raw folder, from wherever it can be had, and record what it is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import AwareDatetime, Field, ValidationError
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn

from zenml_airflow.contracts.frozen import Frozen
from zenml_mlops.data.download import PATIENT, QUICK, DownloadPolicy, download, public_url
from zenml_mlops.data.errors import DataError
from zenml_mlops.data.files import sha256_of, temporary_file
from zenml_mlops.data.source import Source
from zenml_mlops.data.use_case import UseCase

SOURCE_NAME: Final = "source.json"


class SourceKind(StrEnum):
    """Where the data in the raw folder comes from."""

    PUBLIC = "public"
    URL = "url"
    FILE = "file"
    SYNTHETIC = "synthetic"


class RawSource(Frozen):
    """What the raw folder holds; stored beside the file of the rows as ``source.json``.

    Attributes:
        origin: The file's name, the URL without credentials, or the generator's arguments; never a local path.
        fetched_at: When it was put there, in UTC.
    """

    kind: SourceKind
    origin: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    rows: int = Field(ge=1)
    fetched_at: AwareDatetime

    def sentence(self, case: str) -> str:
        """Say in one line what the data is; ``case`` is what one row is."""
        if self.kind is SourceKind.SYNTHETIC:
            return f"SYNTHETIC {case}s ({self.origin}), {self.rows:,} rows: generated, none of them real"
        return f"the {case}s of {self.origin}, {self.rows:,} rows"


def current_source(raw_dir: Path, use_case: UseCase) -> RawSource | None:
    """Return what the raw folder holds, or ``None`` where it holds no file that is what its record says."""
    file, record = raw_dir / use_case.source_file, raw_dir / SOURCE_NAME
    if not file.is_file() or not record.is_file():
        return None
    try:
        source = RawSource.model_validate_json(record.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError):
        return None
    return source if sha256_of(file) == source.sha256 else None


def require_source(raw_dir: Path, use_case: UseCase) -> RawSource:
    """Return what the raw folder holds.

    Raises:
        DataError: If nothing was fetched, or the file has changed since.
    """
    source = current_source(raw_dir, use_case)
    if source is not None:
        return source
    if (raw_dir / use_case.source_file).is_file():
        raise DataError(
            f"{use_case.source_file} is not the file that {SOURCE_NAME} records (the digests differ, or the "
            "record is missing): run `mlops data fetch` again."
        )
    raise DataError("No source data yet: run `mlops data fetch` first.")


def fetch(
    source: str,
    raw_dir: Path,
    use_case: UseCase,
    *,
    rows: int | None = None,
    seed: int | None = None,
    console: Console | None = None,
    address: str | None = None,
    policy: DownloadPolicy = PATIENT,
    auto_policy: DownloadPolicy = QUICK,
) -> RawSource:
    """Bring the data into ``raw_dir`` and record it in ``source.json``.

    What is no data of this use case is refused, see :class:`~zenml_mlops.data.source.Source`. Files
    appear by rename, so a reader never sees half of one, and a failure leaves what was there before. An
    interrupted download keeps a ``.part`` file that the next one continues.

    Args:
        source: The public source's name, ``synthetic``, ``auto`` (what is there, else the public source, else
            synthetic), a path or a URL.
        raw_dir: Folder of the fetched files; created.
        rows: Number of synthetic rows; the use case's own by default.
        seed: Seed of the synthetic rows; the use case's own by default.
        console: Where to report and show progress; silent without one.
        address: Another address of the public source than the use case knows.
        auto_policy: Patience of the download in ``auto``.

    Raises:
        DataError: If the source cannot be had or is no data of this use case.
    """
    fetching = _Fetching(raw_dir, use_case, use_case.load_source(), console or Console(quiet=True))
    public = fetching.source.public
    url = address or (public.url if public else None)
    with _folder(raw_dir):
        if source == SourceKind.SYNTHETIC.value:
            return fetching.synthetic(rows, seed)
        if public is not None and url is not None and source == public.name:
            return fetching.public(url, policy)
        if source == "auto":
            return fetching.auto(rows, seed, url, auto_policy)
        if "://" in source:
            return fetching.from_url(source, SourceKind.URL, policy)
        return fetching.from_file(Path(source))


@dataclass(frozen=True)
class _Fetching:
    """One fetch: where to, of which use case, and where to report."""

    raw_dir: Path
    use_case: UseCase
    source: Source
    out: Console

    def auto(self, rows: int | None, seed: int | None, url: str | None, policy: DownloadPolicy) -> RawSource:
        held = current_source(self.raw_dir, self.use_case)
        if held is not None:
            return self._held(held)
        if url is not None:
            try:
                return self.public(url, policy)
            except DataError as error:
                self.out.print(f"[yellow]The public source cannot be used:[/yellow] {error}", soft_wrap=True)
        self.out.print("[bold yellow]Falling back to SYNTHETIC data.[/bold yellow]")
        return self.synthetic(rows, seed)

    def public(self, url: str, policy: DownloadPolicy) -> RawSource:
        held = current_source(self.raw_dir, self.use_case)
        if held is not None and self.source.public is not None and held.sha256 == self.source.public.sha256:
            return self._held(held)
        return self.from_url(url, SourceKind.PUBLIC, policy)

    def from_url(self, url: str, kind: SourceKind, policy: DownloadPolicy) -> RawSource:
        if not url.startswith(("https://", "http://")):
            raise DataError(f"{public_url(url)} is not an http(s) URL; fetch it yourself and name the file.")
        origin = public_url(url)
        path, resumed = self._download(url, policy)
        try:
            return self._accept(path, kind, origin)
        except DataError:
            if not resumed:
                raise
        finally:
            path.unlink(missing_ok=True)
        # The server's file may have changed between the two halves, so a resumed one deserves a clean second try.
        self.out.print("The resumed download is inconsistent; starting again.")
        path, _ = self._download(url, policy)
        try:
            return self._accept(path, kind, origin)
        finally:
            path.unlink(missing_ok=True)

    def from_file(self, path: Path) -> RawSource:
        if path.is_dir():
            raise DataError(f"{path.name} is a folder; name the archive or the {self.use_case.source_file} in it.")
        if not path.is_file():
            known = [*([self.source.public.name] if self.source.public else []), "synthetic", "auto"]
            raise DataError(
                f"No file {path.name!r} at the path given as source. Name an archive, a CSV, a URL, or one of "
                f"{', '.join(known)}."
            )
        return self._accept(path, SourceKind.FILE, path.name)

    def synthetic(self, rows: int | None, seed: int | None) -> RawSource:
        rows = self.source.rows if rows is None else rows
        seed = self.source.seed if seed is None else seed
        with (
            temporary_file(self.raw_dir, self.use_case.source_file) as path,
            _progress(self.out, MofNCompleteColumn()) as progress,
        ):
            task = progress.add_task("Generating", total=rows)
            self.source.generate(path, rows, seed, on_rows=lambda done: progress.advance(task, done))
            source = _record(path, SourceKind.SYNTHETIC, f"seed={seed}")
            self._place(path, source)
        self.out.print(f"[bold yellow]Generated[/bold yellow] {self._sentence(source)}.")
        return source

    def _download(self, url: str, policy: DownloadPolicy) -> tuple[Path, bool]:
        with _progress(self.out, DownloadColumn()) as progress:
            task = progress.add_task("Downloading", total=None)
            return download(
                url, self.raw_dir, policy, lambda done, total: progress.update(task, completed=done, total=total)
            )

    def _accept(self, path: Path, kind: SourceKind, origin: str) -> RawSource:
        """Check a file and move what it holds into place."""
        with self.source.accept(path, self.raw_dir, origin) as found:
            for name, extra in found.more.items():
                extra.replace(self.raw_dir / name)
            source = _record(found.rows, kind, origin)
            self._place(found.rows, source)
        self.out.print(f"[green]Fetched[/green] {self._sentence(source)}; sha256 recorded.")
        return source

    def _place(self, rows: Path, source: RawSource) -> None:
        """Put the rows, then their record: in between, the digests differ and nobody takes one for the other."""
        with temporary_file(self.raw_dir, SOURCE_NAME) as record:
            record.write_text(source.model_dump_json(indent=2) + "\n", encoding="utf-8")
            rows.replace(self.raw_dir / self.use_case.source_file)
            record.replace(self.raw_dir / SOURCE_NAME)

    def _held(self, held: RawSource) -> RawSource:
        self.out.print(f"Already fetched: {self._sentence(held)}.")
        return held

    def _sentence(self, source: RawSource) -> str:
        return source.sentence(self.use_case.contract.case)


def _record(csv: Path, kind: SourceKind, origin: str) -> RawSource:
    with csv.open("rb") as file:
        rows = sum(1 for _ in file) - 1
    return RawSource(
        kind=kind,
        origin=origin,
        sha256=sha256_of(csv),
        rows=rows,
        fetched_at=datetime.now(UTC).replace(microsecond=0),
    )


def _progress(out: Console, *columns: DownloadColumn | MofNCompleteColumn) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *columns,
        console=out,
        transient=True,
        disable=not out.is_terminal,
    )


@contextmanager
def _folder(path: Path) -> Iterator[None]:
    """Make a folder for the time of a fetch; one that ends up empty and was not there before is removed."""
    new = not path.exists()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"The raw folder cannot be made: {error.strerror} ({path.name}).") from error
    try:
        yield
    except OSError as error:
        raise DataError(
            f"The data could not be written or read: {error.strerror or error}. Check disk space "
            f"({shutil.disk_usage(path).free // 2**20:,} MB free) and permissions."
        ) from error
    finally:
        if new and not any(path.iterdir()):
            path.rmdir()
