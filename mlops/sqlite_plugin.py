"""The plugin that makes the API server of the local services fit for SQLite, see :mod:`mlops.sqlite_locking`."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from mlops.sqlite_locking import OneWriterAtATime


class SqlitePlugin(AirflowPlugin):
    """A middleware around all of the API server, the tasks' interface included."""

    name = "local_sqlite"
    fastapi_root_middlewares = [{"name": "one writer at a time", "middleware": OneWriterAtATime}]
