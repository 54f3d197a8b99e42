"""What lets the local services use SQLite as Airflow's database; it has one writer at a time.

- A read that is not finished keeps nobody from committing: :class:`AirflowSqlite` has a write-ahead log.
- The API server handles one writing request at a time: :class:`OneWriterAtATime`. Airflow 3 enters a request in
  its audit log from within the event loop. Where that waits for the lock, and the lock is that of another request,
  which needs the event loop to commit, both wait until SQLite gives up; what else writes waits with them.
- A transaction is held together: :func:`hold_transactions_together`. Python's sqlite3 opens one at the first
  write, and a savepoint before that is one of its own: it is committed when it is released. Airflow makes each run
  of a backfill in a savepoint, so its scheduler took up runs of a backfill that was still being made, both fought
  for the lock, Airflow removed the runs again, and the scheduler ended with ``StaleDataError``. SQLAlchemy's notes
  on pysqlite tell of the savepoints.
"""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection
    from starlette.types import ASGIApp, Receive, Scope, Send

READS = frozenset({"GET", "HEAD", "OPTIONS"})


class AirflowSqlite(sqlite3.Connection):
    """A connection to Airflow's SQLite file, in which readers and the writer do not wait for each other.

    A power cut may lose the last commits of the write-ahead log, not the file: https://sqlite.org/wal.html.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.execute("PRAGMA journal_mode=WAL").close()
        self.execute("PRAGMA synchronous=NORMAL").close()


LOCK_SECONDS = 60
"""How long an Airflow component waits for another one's write; sqlite3 gives up after 5."""
CONNECT_ARGS = {"timeout": LOCK_SECONDS, "factory": AirflowSqlite}
"""How an Airflow component connects."""


class OneWriterAtATime:
    """Middleware of Airflow's API server: requests that may write follow each other, reading ones do not wait."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._writing = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, after those that write if it may write too."""
        if scope["type"] != "http" or scope["method"] in READS:
            await self._app(scope, receive, send)
            return
        async with self._writing:
            await self._app(scope, receive, send)


def hold_transactions_together() -> None:
    """Begin a transaction, with the lock for writing, before the first savepoint of a connection to SQLite.

    The lock is waited for as long as the connection's ``timeout`` says. Other databases are left alone.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    event.listen(Engine, "savepoint", _begin_before_savepoint)


def _begin_before_savepoint(connection: Connection, _name: str) -> None:
    if connection.dialect.name != "sqlite":
        return
    raw = connection.connection.driver_connection
    if raw is not None and not raw.in_transaction:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
