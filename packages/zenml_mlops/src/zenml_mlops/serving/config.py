"""What configures the service that scores single requests: frozen, typed; sizes and times have defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from zenml_mlops.configuration import Section
from zenml_mlops.inference.config import Stage


class RateRules(Section):
    """How many requests one client may send: a token bucket for each.

    Attributes:
        per_second: Tokens that come back each second; a request takes one.
        burst: Size of the bucket: requests at once after a pause.
        most_clients: Buckets in memory. Beyond it the one unused for longest is forgotten, as good as full.
    """

    per_second: float = Field(default=50, gt=0)
    burst: int = Field(default=100, ge=1)
    most_clients: int = Field(default=10_000, ge=1)


class ServingConfig(Section):
    """Configuration of the service.

    Attributes:
        use_case: ``module:attribute`` of the use case that the project declares.
        model_name: Name of the model in ZenML's Model Control Plane.
        decision_threshold: A risk at or above it is a ``high_risk`` decision; 0 to 1.
        host: Address that the service listens on.
        port: Its TCP port; 0 for a free one.
        most_rows: Rows of one request, and rows that the model scores in one call.
        most_waiting_rows: Rows that may wait for the model; requests beyond it are refused at once.
        most_body_bytes: Size of a request's body.
        body_seconds: How long a client may take to send it.
        poll_seconds: How often the service asks which version is in the stage.
        shutdown_seconds: How long requests that are being answered may go on after the service was told to stop.
    """

    use_case: str = Field(min_length=1)
    model_name: str = Field(min_length=1)
    stage: Stage
    decision_threshold: float = Field(gt=0, lt=1)
    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=8090, ge=0, lt=65536)
    most_rows: int = Field(default=1000, gt=0)
    most_waiting_rows: int = Field(default=4000, gt=0)
    most_body_bytes: int = Field(default=2_000_000, gt=0)
    body_seconds: float = Field(default=10, gt=0)
    poll_seconds: float = Field(default=5, gt=0)
    shutdown_seconds: int = Field(default=30, gt=0)
    rate: RateRules = RateRules()


def build_serving_config(settings: Mapping[str, Any], **changes: Any) -> ServingConfig:
    """Build the configuration from an environment's settings (keys ``serving``, ``pipelines``).

    Model, stage and threshold are those of batch inference: a case gets the same decision from both.

    Args:
        changes: Values that replace configured ones; ``None`` replaces nothing.

    Raises:
        ConfigError: If the settings break the schema; all problems at once.
    """
    batch = settings["pipelines"]["batch_inference"]
    section = {
        **settings["serving"],
        **{key: batch[key] for key in ("model_name", "stage", "decision_threshold")},
        "use_case": settings["definition"],
        **{key: value for key, value in changes.items() if value is not None},
    }
    return ServingConfig.checked(section, "serving in configs/")
