"""The Airflow connection of a ZenML server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from zenml_airflow.client.api import (
    AsyncRead,
    ServerError,
    ZenMLApiError,
    ZenMLServer,
    async_reader,
    describe_server,
    reader,
)
from zenml_airflow.client.conditions import Condition, Entity, Query, Record, Verdict, judge


class ZenMLHook(BaseHook):
    """Reads from a ZenML server, and tells ZenML's own client where the server is.

    The address and the API key stand in an Airflow connection, and so in the secrets backend; nothing else of the
    bridge ever holds them. Its form is described in :mod:`zenml_airflow.provider`.

    Args:
        zenml_conn_id: Airflow connection; ``None`` for the store that ZenML's own configuration names, which on a
            laptop is a local one.
    """

    conn_name_attr = "zenml_conn_id"
    default_conn_name = "zenml_default"
    conn_type = "zenml"
    hook_name = "ZenML"

    def __init__(self, zenml_conn_id: str | None = default_conn_name) -> None:
        super().__init__()
        self.zenml_conn_id = zenml_conn_id

    def get_conn(self) -> ZenMLServer | None:
        """The server that the connection describes, or ``None`` without a connection.

        Raises:
            ServerError: If there is no such connection, or it describes none.
        """
        if self.zenml_conn_id is None:
            return None
        with _named(self.zenml_conn_id):
            connection = self.get_connection(self.zenml_conn_id)
        if connection.password:
            mask_secret(connection.password)
        return _server(connection, connection.extra_dejson)

    async def aget_conn(self) -> ZenMLServer | None:
        """The same from an event loop, where the plain way would wait for itself.

        Raises:
            ServerError: If there is no such connection, or it describes no server.
        """
        if self.zenml_conn_id is None:
            return None
        # It masks the password too.
        with _named(self.zenml_conn_id):
            connection = await self.aget_connection(self.zenml_conn_id)
        return _server(connection, await connection.aextra_dejson())

    def get_environment(self) -> dict[str, str]:
        """Variables that point ZenML's client at the server; none without a connection.

        One of them is the API key: they are meant for the process of a step, never for a log or a file.

        Raises:
            ServerError: If there is no such connection, or it describes no server.
        """
        server = self.get_conn()
        return server.environment() if server else {}

    def test_connection(self) -> tuple[bool, str]:
        """Log in to the server and say what came of it, for Airflow's button."""
        try:
            server = self.get_conn()
            if server is None:
                return True, "No connection: ZenML's own configuration says where its records are."
            return True, describe_server(server)
        except (ServerError, ZenMLApiError) as error:
            return False, str(error)

    def judge(self, condition: Condition) -> Verdict:
        """Judge a condition on what ZenML has recorded now.

        Raises:
            ZenMLApiError: If ZenML does not answer as it should.
        """
        with reader(self.get_conn()) as read:
            return judge(condition, read)

    def pipeline_runs(self, **filters: Any) -> Sequence[Record]:
        """Pipeline runs that fit ZenML's filters, such as ``pipeline="training", status="completed"``.

        Raises:
            ZenMLApiError: If ZenML does not answer as it should.
        """
        with reader(self.get_conn()) as read:
            return read(Query(Entity.PIPELINE_RUN, filters))

    def model_versions(self, model: str, **filters: Any) -> Sequence[Record]:
        """Versions of a model that fit ZenML's filters, such as ``stage="production"``.

        Raises:
            ZenMLApiError: If ZenML does not answer as it should.
        """
        with reader(self.get_conn()) as read:
            return read(Query(Entity.MODEL_VERSION, {**filters, "model": model}))

    @asynccontextmanager
    async def async_reader(self) -> AsyncIterator[AsyncRead]:
        """A function for an event loop that reads records, with one login for all of them.

        Raises:
            ServerError: If there is no such connection, or it describes no server.
        """
        async with async_reader(await self.aget_conn()) as read:
            yield read


@contextmanager
def _named(conn_id: str) -> Iterator[None]:
    """Turn the absence of a connection into a sentence."""
    try:
        yield
    except AirflowNotFoundException:
        raise ServerError(
            f"Airflow has no connection {conn_id!r}: add one of type ZenML, or name none to use the "
            "store of ZenML's own configuration."
        ) from None


def _server(connection: Any, extra: dict[str, Any]) -> ZenMLServer:
    return ZenMLServer.of(
        connection.conn_id,
        host=connection.host,
        schema=connection.schema,
        port=connection.port,
        password=connection.password,
        extra=extra,
    )
