"""What Airflow's database knows of a bundle: the version that is deployed, and import errors of rejected commits.

Only Airflow's own components reach the database. Where a task's process asks, nothing is known and nothing is
reported: the DAG processor does both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.models.errors import ParseImportError
    from sqlalchemy import Select
    from sqlalchemy.orm import Session

MARK = " @ "
"""Between the file and the commit in the name under which an import error is shown. No file of the bundle has that
name, so the DAG processor, which forgets the errors of the files that it parses, leaves it alone until the bundle
moves on."""


def deployed_version(bundle: str) -> str | None:
    """The version of a bundle that Airflow schedules, or ``None`` where that is not known."""
    from airflow.models.dagbundle import DagBundleModel
    from sqlalchemy import select

    with _session() as session:
        if session is None:
            return None
        found = session.scalar(select(DagBundleModel.version).where(DagBundleModel.name == bundle))
        return str(found) if found else None


def report_import_errors(bundle: str, *, bad: str, good: str, errors: dict[str, str]) -> None:
    """Show the errors of a commit that the bundle does not move on to among Airflow's import errors.

    Args:
        good: The commit that stays deployed.
        errors: Stack trace or sentence by file.
    """
    from airflow.models.errors import ParseImportError

    with _session() as session:
        if session is None:
            return
        wanted = {f"{file}{MARK}{bad[:12]}": text for file, text in errors.items()}
        known = {row.filename: row for row in session.scalars(_import_errors(bundle))}
        for name in known.keys() - wanted.keys():
            session.delete(known[name])
        for name in wanted.keys() - known.keys():
            text = (
                f"Commit {bad[:12]} is not deployed: its DAG files cannot all be parsed. All DAGs of the bundle "
                f"{bundle!r} stay at commit {good[:12]} until the branch holds a better one.\n\n{wanted[name]}"
            )
            session.add(
                ParseImportError(bundle_name=bundle, filename=name, timestamp=datetime.now(UTC), stacktrace=text)
            )


def clear_import_errors(bundle: str) -> None:
    """Remove the import errors of rejected commits: the bundle is where its branch is."""
    with _session() as session:
        if session is None:
            return
        for row in session.scalars(_import_errors(bundle)):
            session.delete(row)


def _import_errors(bundle: str) -> Select[tuple[ParseImportError]]:
    from airflow.models.errors import ParseImportError
    from sqlalchemy import select

    return select(ParseImportError).where(
        ParseImportError.bundle_name == bundle, ParseImportError.filename.contains(MARK)
    )


@contextmanager
def _session() -> Iterator[Session | None]:
    """A session of Airflow's database, or ``None`` in the process of a task."""
    from airflow import settings
    from airflow.utils.session import create_session

    if "airflow-db-not-allowed" in str(settings.SQL_ALCHEMY_CONN):
        yield None
        return
    with create_session() as session:
        yield session
