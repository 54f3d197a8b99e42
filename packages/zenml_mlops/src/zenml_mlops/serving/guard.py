"""What stands before every request: its id, its key, its rate; and what is told of it afterwards."""

from __future__ import annotations

from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zenml_mlops.serving.limits import ApiKeys, TokenBuckets
from zenml_mlops.serving.metrics import Metrics
from zenml_mlops.serving.records import EventLog, RequestRecord
from zenml_mlops.serving.scorer import ScoringError

API: Final = "/v1/"
"""Below it a key is needed and rates count; probes and Prometheus carry no key."""
REQUEST_ID_HEADER: Final = "X-Request-ID"
VERSION_HEADER: Final = "X-Model-Version"
VERSION_ID_HEADER: Final = "X-Model-Version-ID"
ROUTES: Final = frozenset({"/v1/score", "/healthz", "/readyz", "/metrics", "/openapi.json"})
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER: Final = "other"
_BEARER: Final = "bearer "
_CLOSED_BY_CLIENT: Final = 499


class Guard:
    """ASGI middleware. What it lets through, it logs and counts; an error of ours leaves it as a bare 500."""

    def __init__(
        self, app: ASGIApp, *, keys: ApiKeys, buckets: TokenBuckets, metrics: Metrics, log: EventLog
    ) -> None:
        self._app, self._keys, self._buckets = app, keys, buckets
        self._metrics, self._log = metrics, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # A path may be anything, a person's name too.
        route = scope["path"] if scope["path"] in ROUTES else _OTHER
        method = scope["method"] if scope["method"] in _METHODS else _OTHER
        record = RequestRecord(method, route, status=_CLOSED_BY_CLIENT)
        scope.setdefault("state", {})["record"] = record
        started = False

        async def send_recorded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                record.status = message["status"]
                _describe(MutableHeaders(scope=message), record)
            await send(message)

        try:
            refusal = self._refusal(scope)
            await (self._app if refusal is None else refusal)(scope, receive, send_recorded)
        except Exception as error:  # noqa: BLE001 - the server would log its message, which may quote a row
            self._log.failure(record, error, str(error) if isinstance(error, ScoringError) else None)
            record.status = 500
            if not started:
                failed = problem(500, "The service failed; its log has this request's id.")
                await failed(scope, receive, send_recorded)
        finally:
            self._metrics.requests.labels(route, str(record.status)).inc()
            self._metrics.seconds.labels(route).observe(record.seconds)
            self._log.request(record)

    def _refusal(self, scope: Scope) -> Response | None:
        if not scope["path"].startswith(API):
            return None
        presented = Headers(scope=scope).get("authorization", "")
        is_bearer = presented.lower().startswith(_BEARER)
        owner = self._keys.owner(presented[len(_BEARER) :].encode("latin-1")) if is_bearer else None
        # Who has no right key shares the bucket of the address, so that keys cannot be tried quickly.
        address = scope["client"][0] if scope.get("client") else "unknown"
        wait = self._buckets.take(owner or f"address {address}")
        if wait:
            return problem(429, f"Too many requests; retry in {wait} s.", {"Retry-After": str(wait)})
        if self._keys and owner is None:
            text = "This needs an API key: send it as `Authorization: Bearer KEY`."
            return problem(401, text, {"WWW-Authenticate": "Bearer"})
        return None


def problem(status: int, error: str, headers: dict[str, str] | None = None, **more: Any) -> JSONResponse:
    """An answer that says what is wrong."""
    return JSONResponse({"error": error, **more}, status, headers)


def _describe(headers: MutableHeaders, record: RequestRecord) -> None:
    headers[REQUEST_ID_HEADER] = record.request_id
    headers["Cache-Control"] = "no-store"
    headers["X-Content-Type-Options"] = "nosniff"
    if record.version is not None:
        headers[VERSION_HEADER] = str(record.version.version)
        headers[VERSION_ID_HEADER] = str(record.version.version_id)
