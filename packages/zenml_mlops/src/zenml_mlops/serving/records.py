"""What the service logs: one line of JSON for each event, without anything that a client sent."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Final
from uuid import uuid4

from zenml_mlops.serving.loaded_version import ModelVersion

LOGGER: Final = "mlops.serving"
_SERVER_LOGGERS: Final = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")
_FIELDS: Final = "fields"


@dataclass
class RequestRecord:
    """What is told of a request, collected while it is answered.

    The id is made here: one that a client sends could be anything.
    """

    method: str
    route: str
    request_id: str = field(default_factory=lambda: str(uuid4()))
    started: float = field(default_factory=perf_counter)
    status: int = 500
    rows: int = 0
    version: ModelVersion | None = None

    @property
    def seconds(self) -> float:
        """Time since the headers came."""
        return perf_counter() - self.started


class EventLog:
    """Writes events through the standard ``logging``, under one name."""

    def __init__(self) -> None:
        self._logger = logging.getLogger(LOGGER)

    def request(self, record: RequestRecord) -> None:
        """A request was answered."""
        version = record.version
        self._write(
            logging.INFO,
            "request",
            request_id=record.request_id,
            method=record.method,
            route=record.route,
            status=record.status,
            rows=record.rows,
            model=None if version is None else version.name,
            version=None if version is None else version.version,
            version_id=None if version is None else str(version.version_id),
            milliseconds=round(1000 * record.seconds, 2),
        )

    def failure(self, record: RequestRecord, error: BaseException, text: str | None = None) -> None:
        """A request met a fault of ours: where, but not the error's message, which may quote a row.

        Args:
            text: A message that holds no value.
        """
        frames = traceback.extract_tb(error.__traceback__)
        places = [f"{frame.name}:{frame.lineno}" for frame in frames[-3:]]
        self._write(
            logging.ERROR,
            "failure",
            request_id=record.request_id,
            route=record.route,
            error=type(error).__name__,
            text=text,
            places=places,
        )

    def serving(self, version: ModelVersion, instead_of: ModelVersion | None) -> None:
        """A version answers from now on."""
        self._write(
            logging.INFO,
            "serving",
            model=version.name,
            version=version.version,
            version_id=str(version.version_id),
            instead_of=None if instead_of is None else instead_of.version,
        )

    def listening(self, url: str) -> None:
        """The service can be reached."""
        self._write(logging.INFO, "listening", url=url)

    def warning(self, event: str, text: str) -> None:
        """Something that somebody should look at."""
        self._write(logging.WARNING, event, text=text)

    def _write(self, level: int, event: str, **fields: Any) -> None:
        self._logger.log(level, event, extra={_FIELDS: fields})


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Render an event, or a message of the web server."""
        content: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
        }
        fields = getattr(record, _FIELDS, None)
        if fields is not None:
            content |= {"event": record.msg, **fields}
        else:
            # A traceback is left out on purpose: its last line may quote a row.
            content |= {"event": "server", "text": record.getMessage().partition("\n")[0]}
        return json.dumps(content)


def log_to_stdout() -> None:
    """Send the events, and what the web server says, to the standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    for name in (LOGGER, *_SERVER_LOGGERS):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = False
        logger.setLevel(logging.INFO if name == LOGGER else logging.WARNING)
        logger.addHandler(handler)
