"""Make SQLite hold a whole transaction of Airflow together; the local services use it as Airflow's database.

Python's sqlite3 opens a transaction at the first write, and a savepoint before that is one of its own: it is
committed when it is released. Airflow makes each run of a backfill in a savepoint, so its scheduler took up
runs of a backfill that was still being made, both fought for the lock, Airflow removed the runs again, and the
scheduler ended with ``StaleDataError``. SQLAlchemy's notes on pysqlite tell of the savepoints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


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
