"""The plugin that makes the local API server fit for SQLite, see :mod:`zenml_mlops.local.sqlite_locking`."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from zenml_mlops.local.sqlite_locking import OneWriterAtATime


class SqlitePlugin(AirflowPlugin):
    """A middleware around all of the API server, the tasks' interface included."""

    name = "local_sqlite"
    fastapi_root_middlewares = [{"name": "one writer at a time", "middleware": OneWriterAtATime}]
