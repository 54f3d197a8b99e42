"""What configures the service that scores single requests: frozen, typed, without a default for any number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zenml_pipelines.config import ConfigError, Stage

_FROM_BATCH_INFERENCE = ("model_name", "stage", "decision_threshold")


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class RateRules(_Config):
    """How many requests one client may send: a token bucket for each.

    Attributes:
        per_second: Tokens that come back each second; a request takes one.
        burst: Size of the bucket: requests at once after a pause.
        most_clients: Buckets in memory. Beyond it the one unused for longest is forgotten, as good as full.
    """

    per_second: float = Field(gt=0)
    burst: int = Field(ge=1)
    most_clients: int = Field(ge=1)


class ServingConfig(_Config):
    """Configuration of the service.

    Attributes:
        model_name: Name of the model in ZenML's Model Control Plane.
        stage: Stage whose version answers.
        decision_threshold: A risk at or above it is a ``high_risk`` decision; 0 to 1.
        host: Address that the service listens on.
        port: Its TCP port; 0 for a free one.
        most_rows: Rows of one request, and rows that the model scores in one call.
        most_waiting_rows: Rows that may wait for the model; requests beyond it are refused at once.
        most_body_bytes: Size of a request's body.
        body_seconds: How long a client may take to send it.
        poll_seconds: How often the service asks which version is in the stage.
        shutdown_seconds: How long requests that are being answered may go on after the service was told to stop.
        rate: How many requests one client may send.
    """

    model_name: str = Field(min_length=1)
    stage: Stage
    decision_threshold: float = Field(gt=0, lt=1)
    host: str = Field(min_length=1)
    port: int = Field(ge=0, lt=65536)
    most_rows: int = Field(gt=0)
    most_waiting_rows: int = Field(gt=0)
    most_body_bytes: int = Field(gt=0)
    body_seconds: float = Field(gt=0)
    poll_seconds: float = Field(gt=0)
    shutdown_seconds: int = Field(gt=0)
    rate: RateRules


def build_serving_config(settings: Mapping[str, Any], **changes: Any) -> ServingConfig:
    """Build the configuration from an environment's settings (keys ``serving``, ``pipelines``).

    Model, stage and threshold are those of batch inference: a case gets the same decision from both.

    Args:
        settings: The settings as plain data.
        changes: Values that replace configured ones; ``None`` replaces nothing.

    Raises:
        ConfigError: If the settings break the schema; all problems at once.
    """
    batch = settings["pipelines"]["batch_inference"]
    chosen = {key: value for key, value in changes.items() if value is not None}
    section = {**settings["serving"], **{key: batch[key] for key in _FROM_BATCH_INFERENCE}, **chosen}
    try:
        return ServingConfig.model_validate(section)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'section'}: {item['msg']}" for item in error.errors()
        )
        raise ConfigError(f"serving in configs/: {problems}") from error
