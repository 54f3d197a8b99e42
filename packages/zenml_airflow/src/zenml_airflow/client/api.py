"""Reading ZenML's records: over plain HTTP from a server, or from the local store.

An Airflow image for remote launchers has no ZenML, and a triggerer must not wait for its import, so a server is
asked without ZenML's client. This module imports neither Airflow nor ZenML.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import UUID

import httpx
from pydantic import Field, SecretStr, ValidationError

from zenml_airflow.client.conditions import Entity, Query, Record
from zenml_airflow.contracts.frozen import Frozen
from zenml_airflow.contracts.problems import describe

API = "/api/v1"
"""Path of ZenML's REST API below the server's address."""

TIMEOUT_SECONDS = 20.0
"""How long one request may take."""

_URL = re.compile(r"^https?://[^/@?#\s]+(/[^@?#\s]*)?$")

Read = Callable[[Query], Sequence[Record]]
AsyncRead = Callable[[Query], Awaitable[Sequence[Record]]]


class ZenMLApiError(RuntimeError):
    """ZenML does not give what it is asked for."""


class ServerUnreachableError(ZenMLApiError):
    """The server does not answer, or not now; looking again later may help."""


class CredentialsRefusedError(ZenMLApiError):
    """The server does not accept the API key, or does not let its account read."""


class ServerError(ValueError):
    """A connection does not describe a ZenML server."""


class ServerExtra(Frozen):
    """The extra fields of a connection.

    Attributes:
        ca_bundle: File on the worker's machine with the certificates to trust; the system's own by default.
        project_id: Project to work in; the server's default project otherwise. An id, because ZenML takes no name
            from the environment.
    """

    verify_ssl: bool = True
    ca_bundle: str | None = Field(default=None, min_length=1)
    project_id: UUID | None = None


class ZenMLServer(Frozen):
    """A ZenML server and the service account's key to it.

    Attributes:
        url: Address of the server, without a slash at the end.
    """

    url: str
    api_key: SecretStr
    extra: ServerExtra = ServerExtra()

    @classmethod
    def of(
        cls,
        name: str,
        *,
        host: str | None,
        schema: str | None = None,
        port: int | None = None,
        password: str | None,
        extra: Mapping[str, Any],
    ) -> ZenMLServer:
        """Read the fields of a connection.

        Args:
            name: Name of the connection, for messages.
            host: URL of the server, or its host name alone.
            schema: ``https`` or ``http`` where ``host`` is a name; ``https`` by default.
            port: Port, where ``host`` names none.
            extra: Extra fields; empty ones count as absent.

        Raises:
            ServerError: If a field is missing or wrong; all of them at once. The key is never part of it.
        """
        problems = []
        url = (host or "").strip().rstrip("/")
        if url and "://" not in url:
            url = f"{schema or 'https'}://{url}"
        if port and re.fullmatch(r"https?://[^/:]+", url):
            url = f"{url}:{port}"
        if not _URL.match(url):
            problems.append("the server's URL (host) must read like https://zenml.example.com, without a user")
        if not password:
            problems.append("the API key of a service account (password) is missing")
        given = {key: value for key, value in extra.items() if value not in (None, "")}
        parsed = ServerExtra()
        try:
            parsed = ServerExtra.model_validate(given)
        except ValidationError as error:
            problems.append(describe(error, "extra"))
        if parsed.ca_bundle and not parsed.verify_ssl:
            problems.append("ca_bundle has no effect while verify_ssl is off")
        if problems:
            raise ServerError(f"Connection {name!r} does not describe a ZenML server: {'; '.join(problems)}.")
        return cls(url=url, api_key=SecretStr(password or ""), extra=parsed)

    def environment(self) -> dict[str, str]:
        """Variables that point ZenML's own client at the server; one of them is the key."""
        extra = self.extra
        variables = {
            "ZENML_STORE_TYPE": "rest",
            "ZENML_STORE_URL": self.url,
            "ZENML_STORE_API_KEY": self.api_key.get_secret_value(),
            "ZENML_STORE_VERIFY_SSL": extra.ca_bundle or str(extra.verify_ssl).lower(),
            # ZenML would write the key to credentials.yaml in its configuration folder.
            "DISABLE_CREDENTIALS_DISK_CACHING": "true",
        }
        if extra.project_id:
            variables["ZENML_ACTIVE_PROJECT_ID"] = str(extra.project_id)
        return variables

    def parameters(self, query: Query) -> dict[str, Any]:
        """URL parameters of a query."""
        project = {"project": str(self.extra.project_id)} if self.extra.project_id else {}
        return {**project, **query.filters}


class _KeyAuth(httpx.Auth):
    """Exchanges the API key for a token when there is none or it has expired; for both of httpx's clients."""

    requires_response_body = True

    def __init__(self, server: ZenMLServer) -> None:
        self._server = server
        self._token: str | None = None

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        known = self._token is not None
        if not known:
            yield from self._log_in()
        request.headers["Authorization"] = f"Bearer {self._token}"
        response = yield request
        if known and response.status_code == httpx.codes.UNAUTHORIZED:
            yield from self._log_in()
            request.headers["Authorization"] = f"Bearer {self._token}"
            yield request

    def _log_in(self) -> Generator[httpx.Request, httpx.Response, None]:
        server = self._server
        form = {"grant_type": "zenml-api-key", "password": server.api_key.get_secret_value()}
        answer = parse_answer(server.url, (yield httpx.Request("POST", f"{server.url}{API}/login", data=form)))
        if not isinstance(answer, dict) or not isinstance(answer.get("access_token"), str):
            raise ZenMLApiError(
                f"{server.url} returned no access token: it is not a ZenML server, or a newer one."
            )
        self._token = answer["access_token"]


def parse_answer(url: str, response: httpx.Response) -> Any:
    """The JSON that a server answered with.

    Raises:
        ServerUnreachableError: If it is overloaded or broken.
        CredentialsRefusedError: If it refused the key.
        ZenMLApiError: If it answered anything else but JSON.
    """
    code = response.status_code
    if code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        raise CredentialsRefusedError(
            f"The ZenML server at {url} refuses the API key: it is wrong, was rotated, or its service account is "
            "inactive. Make a new one with `zenml service-account api-key <account> create <name>` and put it in "
            "the connection's password."
        )
    if code == httpx.codes.TOO_MANY_REQUESTS or code >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise ServerUnreachableError(f"The ZenML server at {url} is unavailable: HTTP {code}.")
    if code != httpx.codes.OK:
        raise ZenMLApiError(
            f"{url} answers {response.request.method} {response.request.url.path} with HTTP {code}: "
            f"{_detail(response)}. Check the server's URL and the project in the connection."
        )
    try:
        return response.json()
    except ValueError:
        raise ZenMLApiError(f"{url} did not return JSON: it is not a ZenML server.") from None


def _detail(response: httpx.Response) -> str:
    if "location" in response.headers:
        return f"it redirects to {response.headers['location']}"
    try:
        return str(response.json()["detail"])[:300]
    except (ValueError, KeyError, TypeError):
        return "no reason given"


def describe_server(server: ZenMLServer) -> str:
    """Talk to a server and say who it takes us for.

    Raises:
        ZenMLApiError: If it cannot be reached, is no ZenML server, or refuses the key.
    """
    with httpx.Client(**_options(server)) as client, _reaching(server):
        info = parse_answer(server.url, client.get("/info", auth=None))
        if not isinstance(info, dict) or "version" not in info:
            raise ZenMLApiError(f"{server.url} responds, but not as a ZenML server does.")
        user = parse_answer(server.url, client.get("/current-user"))
        if server.extra.project_id:
            parse_answer(server.url, client.get(f"/projects/{server.extra.project_id}"))
    kind = "service account" if user["body"]["is_service_account"] else "user"
    return f"Connected to ZenML {info['version']} at {server.url} as {kind} {user['name']!r}."


@contextmanager
def reader(server: ZenMLServer | None) -> Iterator[Read]:
    """A function that reads records from a server, or from the local store where there is none.

    Raises:
        ZenMLApiError: From the function, if ZenML does not answer as it should.
    """
    if server is None:
        yield read_local
        return
    with httpx.Client(**_options(server)) as client:

        def read(query: Query) -> Sequence[Record]:
            with _reaching(server):
                answer = client.get(f"/{query.entity}", params=server.parameters(query))
            return _items(server, answer)

        yield read


@asynccontextmanager
async def async_reader(server: ZenMLServer | None) -> AsyncIterator[AsyncRead]:
    """The same for an event loop, which goes on with other work meanwhile.

    Raises:
        ZenMLApiError: From the function, if ZenML does not answer as it should.
    """
    if server is None:
        # The first call imports ZenML, which takes seconds.
        yield lambda query: asyncio.to_thread(read_local, query)
        return
    # Reading the trusted certificates blocks.
    options = await asyncio.to_thread(_options, server)
    async with httpx.AsyncClient(**options) as client:

        async def read(query: Query) -> Sequence[Record]:
            with _reaching(server):
                answer = await client.get(f"/{query.entity}", params=server.parameters(query))
            return _items(server, answer)

        yield read


def _options(server: ZenMLServer) -> dict[str, Any]:
    extra = server.extra
    try:
        verify = ssl.create_default_context(cafile=extra.ca_bundle) if extra.ca_bundle else extra.verify_ssl
    except OSError as error:
        raise ZenMLApiError(
            f"The ca_bundle {extra.ca_bundle!r} of the connection cannot be read: {error}."
        ) from None
    return {
        "base_url": f"{server.url}{API}",
        "verify": verify,
        "timeout": TIMEOUT_SECONDS,
        "auth": _KeyAuth(server),
    }


@contextmanager
def _reaching(server: ZenMLServer) -> Iterator[None]:
    """Turn a failure of the transport into a sentence."""
    try:
        yield
    except httpx.TransportError as error:
        reason = str(error) or type(error).__name__
        raise ServerUnreachableError(
            f"The ZenML server at {server.url} does not answer: {reason}. Check its URL, whether it runs, and "
            "whether this machine can reach it."
        ) from None


def _items(server: ZenMLServer, response: httpx.Response) -> Sequence[Record]:
    answer = parse_answer(server.url, response)
    items = answer.get("items") if isinstance(answer, dict) else None
    if not isinstance(items, list):
        raise ZenMLApiError(f"{server.url} returned no list of records: it is not a ZenML server, or a newer one.")
    return items


_local = threading.Lock()
"""ZenML's client builds its store on first use, and two threads would build it at once."""


def read_local(query: Query) -> Sequence[Record]:
    """Read records from the store that this process's own ZenML configuration names."""
    with _local:
        from zenml.client import Client
        from zenml.models import ArtifactVersionFilter, ModelFilter, ModelVersionFilter, PipelineRunFilter

        client = Client()
        filters = {**query.filters, "project": client.active_project.id}
        hydrate = filters.pop("hydrate", False)
        listings: dict[Entity, tuple[Any, Any]] = {
            Entity.PIPELINE_RUN: (client.zen_store.list_runs, PipelineRunFilter),
            Entity.ARTIFACT_VERSION: (client.zen_store.list_artifact_versions, ArtifactVersionFilter),
            Entity.MODEL: (client.zen_store.list_models, ModelFilter),
            Entity.MODEL_VERSION: (client.zen_store.list_model_versions, ModelVersionFilter),
        }
        listing, form = listings[query.entity]
        return [record.model_dump(mode="json") for record in listing(form(**filters), hydrate=hydrate).items]
