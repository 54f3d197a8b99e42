"""The service: scores requests with the version in production, and says how it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, create_model
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

from zenml_mlops.data.use_case import load_use_case
from zenml_mlops.serving.config import ServingConfig
from zenml_mlops.serving.guard import Guard, problem
from zenml_mlops.serving.limits import ApiKeys, BodyTooLargeError, BodyTooSlowError, TokenBuckets, read_body
from zenml_mlops.serving.loaded_version import ModelVersion, Prediction, prediction_type
from zenml_mlops.serving.metrics import CONTENT_TYPE, Metrics
from zenml_mlops.serving.records import EventLog, RequestRecord
from zenml_mlops.serving.schema import InvalidRequestError, Problem
from zenml_mlops.serving.scorer import OverloadedError, Scorer
from zenml_mlops.serving.switch import ModelSwitch

SCORE: Final = "/v1/score"
_JSON: Final = "application/json"
_BUSY_SECONDS: Final = "1"


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, protected_namespaces=())


class ScoreResponse(_Body):
    """The answer to a request.

    Attributes:
        request_id: Id of the request, as in the log.
        model: The version that answered; all rows are of this one.
        decision_threshold: A risk at or above it is a high-risk decision.
        predictions: One for each row, in order.
    """

    request_id: str
    model: ModelVersion
    decision_threshold: float
    predictions: list[Prediction]


@cache
def score_response(row_id: str) -> type[ScoreResponse]:
    """The type of an answer to requests whose row id is called ``row_id``."""
    return create_model("ScoreResponse", __base__=ScoreResponse, predictions=(list[prediction_type(row_id)], ...))  # type: ignore[misc]


class Refusal(_Body):
    """Why a request was not answered."""

    error: str


class InvalidRequest(Refusal):
    """Why a request breaks the contract.

    Attributes:
        model: The version whose contract it is.
        total: Number of problems.
        problems: The first of them, without the values.
    """

    model: ModelVersion
    total: int
    problems: list[Problem]


class Readiness(_Body):
    """Whether requests are answered.

    Attributes:
        ready: Whether they are.
        model: The version that answers.
        loaded_at: When it was loaded.
        problem: Why it may not be the version in the stage.
    """

    ready: bool
    model: ModelVersion | None
    loaded_at: str | None
    problem: str | None


class Health(_Body):
    """That the process is alive."""

    status: str


@dataclass(frozen=True)
class Service:
    """The parts of the service."""

    config: ServingConfig
    switch: ModelSwitch
    metrics: Metrics
    log: EventLog
    keys: ApiKeys = field(default_factory=lambda: ApiKeys([]))


def create_app(service: Service) -> FastAPI:
    """Build the application. It follows the stage from its start to its end."""
    config, switch = service.config, service.switch
    scorer = Scorer(config.most_rows, config.most_waiting_rows, service.metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        switch.start()
        try:
            yield
        finally:
            switch.stop()
            scorer.close()

    # No pages of documentation: they load scripts from elsewhere.
    app = FastAPI(title=config.model_name, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(
        Guard, keys=service.keys, buckets=TokenBuckets(config.rate), metrics=service.metrics, log=service.log
    )

    @app.exception_handler(HTTPException)
    async def refuse(_: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers) if error.headers else None
        return problem(error.status_code, str(error.detail), headers)

    answer = score_response(load_use_case(service.config.use_case).contract.row_id)

    @app.post(SCORE, response_model=answer, responses=_refusals(), operation_id="score")
    async def score(request: Request) -> Response:
        """Compute the risk of each row."""
        return await _score(request, service, scorer)

    @app.get("/healthz", operation_id="healthz")
    async def healthz() -> Health:
        """Say that the process is alive."""
        return Health(status="alive")

    @app.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness}}, operation_id="readyz")
    async def readyz() -> Response:
        """Say whether requests are answered, and by which version."""
        now = switch.state
        champion = now.champion
        state = Readiness(
            ready=champion is not None,
            model=None if champion is None else champion.version,
            loaded_at=None if champion is None else champion.loaded_at.isoformat(),
            problem=now.problem,
        )
        return Response(state.model_dump_json(), 503 if champion is None else 200, media_type=_JSON)

    @app.get("/metrics", response_class=Response, operation_id="metrics")
    async def metrics() -> Response:
        """Show the metrics in the OpenMetrics format."""
        return Response(service.metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    app.openapi = lambda: _openapi(app, service)  # type: ignore[method-assign]
    return app


async def _score(request: Request, service: Service, scorer: Scorer) -> Response:
    config = service.config
    record: RequestRecord = request.state.record
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _JSON:
        return problem(415, f"Send the rows as {_JSON}.")
    length = request.headers.get("content-length")
    try:
        body = await read_body(length, request.stream(), config.most_body_bytes, config.body_seconds)
    except BodyTooLargeError:
        text = f"A body has at most {config.most_body_bytes} bytes: send fewer rows."
        return problem(413, text, {"Connection": "close"})
    except BodyTooSlowError:
        return problem(408, f"The body did not arrive in {config.body_seconds:g} s.", {"Connection": "close"})
    except ClientDisconnect:
        # Nobody reads it.
        return Response(status_code=400)
    # Taken once the request is complete, so that a slow client is not answered by a version of long ago.
    champion = service.switch.champion
    if champion is None:
        headers = {"Retry-After": str(max(1, round(config.poll_seconds)))}
        return problem(503, f"No version of {config.model_name} is in {config.stage.value}.", headers)
    record.version = champion.version
    try:
        rows = champion.contract.parse(body)
        record.rows = len(rows)
        predictions = await scorer.score(champion, rows)
    except InvalidRequestError as error:
        refusal = InvalidRequest(
            error=str(error), model=champion.version, total=error.total, problems=error.problems
        )
        return Response(refusal.model_dump_json(), 422, media_type=_JSON)
    except OverloadedError as error:
        return problem(503, str(error), {"Retry-After": _BUSY_SECONDS})
    service.metrics.scored(champion, predictions)
    answer = score_response(champion.contract.row_id)(
        request_id=record.request_id,
        model=champion.version,
        decision_threshold=champion.threshold,
        predictions=predictions,
    )
    return Response(answer.model_dump_json(), media_type=_JSON)


def _refusals() -> dict[int | str, dict[str, Any]]:
    texts = {
        401: "The API key is missing or wrong.",
        408: "The body came too slowly.",
        413: "The body is too large.",
        415: "The body is not JSON.",
        429: "Too many requests of one client.",
        500: "The service failed.",
        503: "No version is in the stage, or too many rows are waiting.",
    }
    return {
        **{status: {"model": Refusal, "description": text} for status, text in texts.items()},
        422: {"model": InvalidRequest, "description": "The rows break the model's contract."},
    }


def _openapi(app: FastAPI, service: Service) -> dict[str, Any]:
    """The OpenAPI document, with the request that the version which answers now takes."""
    champion = service.switch.champion
    version = "0" if champion is None else str(champion.version.version)
    document = get_openapi(title=app.title, version=version, routes=app.routes)
    operation = document["paths"][SCORE]["post"]
    components = document.setdefault("components", {})
    if champion is not None:
        request = champion.contract.json_schema()
        components.setdefault("schemas", {}).update(request.pop("$defs", {}))
        operation["requestBody"] = {"required": True, "content": {_JSON: {"schema": request}}}
    if service.keys:
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        operation["security"] = [{"key": []}]
    return document
