"""The page "Models" of Airflow's UI, and the same as JSON: a FastAPI application that Airflow's API server mounts.

It reads and changes nothing. Airflow's own dependencies say who may see it. ZenML is asked in a thread, so that a
slow or unreachable server holds up neither the page nor the API server.
"""

from __future__ import annotations

import logging
import secrets
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagAccessEntity, DagDetails
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_view
from airflow.models.dag import DagModel
from airflow.sdk.timezone import utcnow
from fastapi import Depends, FastAPI
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import AwareDatetime
from sqlalchemy.orm import Session

from zenml_airflow.client.api import ServerError, ZenMLApiError, reader
from zenml_airflow.client.cached import BackgroundCache
from zenml_airflow.client.conditions import ModelStage
from zenml_airflow.client.registry import SHOWN_STAGES, ModelVersion, RegisteredModel, Registry, read_registry
from zenml_airflow.client.run_urls import server_link
from zenml_airflow.contracts.frozen import Frozen
from zenml_airflow.hooks.zenml import ZenMLHook
from zenml_airflow.models_page.runs import (
    DayState,
    Partitions,
    PendingApproval,
    Permission,
    read_partitions,
    read_pending_approvals,
)
from zenml_airflow.run_date import due_days
from zenml_airflow.settings.project import Settings, SettingsError, every_use_case, load_settings

log = logging.getLogger(__name__)


class ZenMLState(Frozen):
    """How the reading of ZenML stands.

    Attributes:
        read_at: When ZenML answered last; ``None`` if it never did.
        pending: Whether it is being read; another request in a moment may show more.
        url: Address at which people open ZenML, if it is a server.
    """

    read_at: AwareDatetime | None
    problem: str | None
    pending: bool
    url: str | None


class ModelRow(Frozen):
    """A model with all that is known of it.

    Attributes:
        partitions: Days of the pipelines that score with it.
    """

    name: str
    known: bool
    stages: dict[ModelStage, ModelVersion | None]
    newest: ModelVersion | None
    approvals: tuple[PendingApproval, ...]
    partitions: tuple[Partitions, ...]


class Board(Frozen):
    """What the page shows.

    Attributes:
        more: Whether ZenML has more models than are shown.
    """

    environment: str
    zenml: ZenMLState
    mlflow_url: str | None
    more: bool
    models: tuple[ModelRow, ...]


def create_app() -> FastAPI:
    """The application; nothing of it is open to somebody who is not logged in."""
    allowed = Depends(requires_access_view(AccessView.PLUGINS))
    app = FastAPI(title="Models", docs_url=None, redoc_url=None, openapi_url=None, dependencies=[allowed])
    app.get("/", response_class=HTMLResponse)(page)
    app.get("/api/models")(board)
    return app


def board(session: SessionDep, user: GetUserDep) -> Board:
    """Everything that is known of the models and that the user may see."""
    settings = load_settings()
    cached = registry().get(settings.airflow.models_page.patience_seconds)
    approvals = read_pending_approvals(session, _permission(session, user, DagAccessEntity.HITL_DETAIL))
    partitions = _partitions(session, settings, _permission(session, user, DagAccessEntity.RUN))
    known = {model.name: model for model in cached.value.models} if cached.value else {}
    names = dict.fromkeys([*known, *partitions, *(approval.model for approval in approvals)])
    return Board(
        environment=settings.environment,
        zenml=ZenMLState(
            read_at=cached.value and cached.value.read_at,
            problem=_sentence(cached.error),
            pending=cached.pending,
            url=cached.value and cached.value.server_url,
        ),
        mlflow_url=server_link(settings.mlflow_url),
        more=cached.value is not None and cached.value.more,
        models=tuple(_row(name, known.get(name), approvals, partitions.get(name, ())) for name in names),
    )


def page(shown: Annotated[Board, Depends(board)]) -> HTMLResponse:
    """The same for people."""
    nonce = secrets.token_urlsafe(16)
    html = _template().render(board=shown, nonce=nonce, now=utcnow(), DayState=DayState)
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'self'"
    )
    return HTMLResponse(
        html,
        headers={
            "Content-Security-Policy": policy,
            "Cache-Control": "no-store",
            "Referrer-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
        },
    )


@cache
def registry() -> BackgroundCache[Registry]:
    """The models as ZenML has them, read for everybody in this process."""
    return BackgroundCache(_read_registry, load_settings().airflow.models_page.fresh_seconds)


def _read_registry() -> Registry:
    settings = load_settings()
    server = ZenMLHook(settings.airflow.connection).get_conn()
    wanted, shown = sorted(_models(settings)), settings.airflow.models_page
    with reader(server) as read:
        return read_registry(
            read,
            wanted,
            shown.most_models,
            server_url=None if server is None else server.url,
            tracker_url=settings.mlflow_url,
        )


def _models(settings: Settings) -> dict[str, list[tuple[Settings, str]]]:
    """The pipelines that score, by the model that they score with: settings of the use case, and section."""
    found: dict[str, list[tuple[Settings, str]]] = {}
    for own in every_use_case(settings):
        for section in settings.airflow.models_page.partitions:
            model = own.section(section).get("model_name")
            if model is not None:
                found.setdefault(str(model), []).append((own, section))
            elif not own.further:
                raise SettingsError(
                    f"airflow.models_page.partitions names {section!r}, and pipelines.{section} has no model_name:"
                    " correct configs/."
                )
    return found


def _partitions(session: Session, settings: Settings, permitted: Permission) -> dict[str, tuple[Partitions, ...]]:
    zone, now = ZoneInfo(settings.timezone), utcnow()

    def of(own: Settings, section: str) -> Partitions:
        days = due_days(own.schedule(section), zone, now, settings.airflow.models_page.days)
        return read_partitions(session, own.deployed_name(section), days, zone, permitted)

    return {model: tuple(of(*one) for one in scoring) for model, scoring in sorted(_models(settings).items())}


def _row(
    name: str, model: RegisteredModel | None, approvals: list[PendingApproval], partitions: tuple[Partitions, ...]
) -> ModelRow:
    return ModelRow(
        name=name,
        known=model is not None,
        stages=model.stages if model else dict.fromkeys(SHOWN_STAGES),
        newest=model and model.newest,
        approvals=tuple(approval for approval in approvals if approval.model == name),
        partitions=partitions,
    )


def _permission(session: Session, user: Any, entity: DagAccessEntity) -> Permission:
    """Whether the user may read something of a DAG, as Airflow's own pages ask it."""

    @cache
    def permitted(dag_id: str) -> bool:
        details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id, session=session))
        return get_auth_manager().is_authorized_dag(method="GET", access_entity=entity, details=details, user=user)

    return permitted


def _sentence(error: BaseException | None) -> str | None:
    """What people are told; the message of another library goes to the log only, as it may hold anything."""
    if error is None:
        return None
    if isinstance(error, ZenMLApiError | ServerError | SettingsError):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        return (
            f"Airflow's API server has no package {error.name!r}, which the local ZenML store needs: name the "
            "connection of a ZenML server in airflow.connection of configs/."
        )
    log.error("ZenML could not be read for the page Models.", exc_info=error)
    return f"Reading ZenML failed with {type(error).__name__}: see the API server's log."


@cache
def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["age"] = _age
    return environment.get_template("models.html.j2")


def _age(moment: datetime, now: datetime) -> str:
    """How long ago something was, roughly."""
    seconds = max((now - moment).total_seconds(), 0)
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"
