"""Bring the source data into the raw folder, from wherever it can be had, and record what it is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn

from zenml_pipelines.contract import CASE
from zenml_pipelines.data.archive import PUBLIC_NAME, PUBLIC_SHA256, PUBLIC_URL, published_files
from zenml_pipelines.data.download import PATIENT, QUICK, DownloadPolicy, download, public_url
from zenml_pipelines.data.errors import DataError
from zenml_pipelines.data.files import sha256_of, temporary_file
from zenml_pipelines.data.schema import CSV_NAME
from zenml_pipelines.data.synthetic import DEFAULT_ROWS, DEFAULT_SEED, write_synthetic

SOURCE_NAME: Final = "source.json"


class SourceKind(StrEnum):
    """Where the data in the raw folder comes from."""

    PUBLIC = "public"
    URL = "url"
    FILE = "file"
    SYNTHETIC = "synthetic"


class RawSource(BaseModel):
    """What the raw folder holds; stored beside the CSV as ``source.json``.

    Attributes:
        kind: Where it comes from.
        origin: The file's name, the URL without credentials, or the generator's arguments; never a local path.
        sha256: Digest of the CSV.
        rows: Rows of the CSV.
        fetched_at: When it was put there, in UTC.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: SourceKind
    origin: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    rows: int = Field(ge=1)
    fetched_at: AwareDatetime

    @property
    def sentence(self) -> str:
        """Say in one line what the data is."""
        if self.kind is SourceKind.SYNTHETIC:
            return f"SYNTHETIC {CASE}s ({self.origin}), {self.rows:,} rows: generated, none of them real"
        return f"the {CASE}s of {self.origin}, {self.rows:,} rows"


def current_source(raw_dir: Path) -> RawSource | None:
    """Return what the raw folder holds, or ``None`` where it holds no file that is what its record says."""
    csv, record = raw_dir / CSV_NAME, raw_dir / SOURCE_NAME
    if not csv.is_file() or not record.is_file():
        return None
    try:
        source = RawSource.model_validate_json(record.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError):
        return None
    return source if sha256_of(csv) == source.sha256 else None


def require_source(raw_dir: Path) -> RawSource:
    """Return what the raw folder holds.

    Raises:
        DataError: If nothing was fetched, or the file has changed since.
    """
    source = current_source(raw_dir)
    if source is not None:
        return source
    if (raw_dir / CSV_NAME).is_file():
        raise DataError(
            f"{CSV_NAME} is not the file that {SOURCE_NAME} records (the digests differ, or the record is "
            "missing): run `mlops data fetch` again."
        )
    raise DataError("No source data yet: run `mlops data fetch` first.")


def fetch(
    source: str,
    raw_dir: Path,
    *,
    rows: int = DEFAULT_ROWS,
    seed: int = DEFAULT_SEED,
    console: Console | None = None,
    address: str | None = PUBLIC_URL,
    policy: DownloadPolicy = PATIENT,
    auto_policy: DownloadPolicy = QUICK,
) -> RawSource:
    """Bring the data into ``raw_dir`` and record it in ``source.json``.

    What is no data of this use case is refused, see :func:`~zenml_pipelines.data.archive.published_files`. Files
    appear by rename, so a reader never sees half of one, and a failure leaves what was there before. An
    interrupted download keeps a ``.part`` file that the next one continues.

    Args:
        source: The public source's name, ``synthetic``, ``auto`` (what is there, else the public source, else
            synthetic), a path or a URL.
        raw_dir: Folder of the fetched files; created.
        rows: Number of synthetic rows.
        seed: Seed of the synthetic rows.
        console: Where to report and show progress; silent without one.
        address: Address of the public source, if there is one.
        policy: Patience of a download.
        auto_policy: Patience of the download in ``auto``.

    Raises:
        DataError: If the source cannot be had or is no data of this use case.
    """
    out = console or Console(quiet=True)
    with _folder(raw_dir):
        match source:
            case SourceKind.SYNTHETIC.value:
                return _synthetic(raw_dir, rows, seed, out)
            case name if address is not None and name == PUBLIC_NAME:
                return _public(raw_dir, address, policy, out)
            case "auto":
                return _auto(raw_dir, rows, seed, out, address, auto_policy)
            case url if "://" in url:
                return _from_url(url, SourceKind.URL, raw_dir, policy, out)
            case _:
                return _from_file(Path(source), raw_dir, out)


def _auto(
    raw_dir: Path, rows: int, seed: int, out: Console, address: str | None, policy: DownloadPolicy
) -> RawSource:
    held = current_source(raw_dir)
    if held is not None:
        out.print(f"Already fetched: {held.sentence}.")
        return held
    if address is not None:
        try:
            return _public(raw_dir, address, policy, out)
        except DataError as error:
            out.print(f"[yellow]The public source is no option now:[/yellow] {error}", soft_wrap=True)
    out.print("[bold yellow]Falling back to SYNTHETIC data.[/bold yellow]")
    return _synthetic(raw_dir, rows, seed, out)


def _public(raw_dir: Path, url: str, policy: DownloadPolicy, out: Console) -> RawSource:
    held = current_source(raw_dir)
    if held is not None and held.sha256 == PUBLIC_SHA256:
        out.print(f"Already fetched: {held.sentence}.")
        return held
    return _from_url(url, SourceKind.PUBLIC, raw_dir, policy, out)


def _from_url(url: str, kind: SourceKind, raw_dir: Path, policy: DownloadPolicy, out: Console) -> RawSource:
    if not url.startswith(("https://", "http://")):
        raise DataError(f"{public_url(url)} is no http(s) URL; fetch it yourself and name the file.")
    origin = public_url(url)
    path, resumed = _download(url, raw_dir, policy, out)
    try:
        return _accept(path, raw_dir, kind, origin, out)
    except DataError:
        if not resumed:
            raise
    finally:
        path.unlink(missing_ok=True)
    # The server's file may have changed between the two halves, so a resumed one deserves a clean second try.
    out.print("The resumed download does not add up; downloading it anew.")
    path, _ = _download(url, raw_dir, policy, out)
    try:
        return _accept(path, raw_dir, kind, origin, out)
    finally:
        path.unlink(missing_ok=True)


def _download(url: str, raw_dir: Path, policy: DownloadPolicy, out: Console) -> tuple[Path, bool]:
    with _progress(out, DownloadColumn()) as progress:
        task = progress.add_task("Downloading", total=None)
        return download(
            url, raw_dir, policy, lambda done, total: progress.update(task, completed=done, total=total)
        )


def _from_file(path: Path, raw_dir: Path, out: Console) -> RawSource:
    if path.is_dir():
        raise DataError(f"{path.name} is a folder; name the archive or the {CSV_NAME} in it.")
    if not path.is_file():
        raise DataError(
            f"No file {path.name!r} at the path given as source. Name an archive, a CSV, a URL, or one of "
            f"{', '.join(filter(None, (PUBLIC_NAME, 'synthetic', 'auto')))}."
        )
    return _accept(path, raw_dir, SourceKind.FILE, path.name, out)


def _accept(path: Path, raw_dir: Path, kind: SourceKind, origin: str, out: Console) -> RawSource:
    """Check a file and move what it holds into place."""
    with published_files(path, raw_dir, origin) as found:
        for name, extra in found.more.items():
            extra.replace(raw_dir / name)
        source = _record(found.csv, kind, origin)
        _place(found.csv, source, raw_dir)
    out.print(f"[green]Fetched[/green] {source.sentence}; sha256 recorded.")
    return source


def _synthetic(raw_dir: Path, rows: int, seed: int, out: Console) -> RawSource:
    with temporary_file(raw_dir, CSV_NAME) as path, _progress(out, MofNCompleteColumn()) as progress:
        task = progress.add_task("Generating", total=rows)
        write_synthetic(path, rows, seed, on_rows=lambda done: progress.advance(task, done))
        source = _record(path, SourceKind.SYNTHETIC, f"seed={seed}")
        _place(path, source, raw_dir)
    out.print(f"[bold yellow]Generated[/bold yellow] {source.sentence}.")
    return source


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


def _place(csv: Path, source: RawSource, raw_dir: Path) -> None:
    """Put the CSV, then its record: in between, the digests differ and nobody takes one for the other."""
    with temporary_file(raw_dir, SOURCE_NAME) as record:
        record.write_text(source.model_dump_json(indent=2) + "\n", encoding="utf-8")
        csv.replace(raw_dir / CSV_NAME)
        record.replace(raw_dir / SOURCE_NAME)


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
