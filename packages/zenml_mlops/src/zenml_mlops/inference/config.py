"""What configures batch inference."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from zenml_mlops.configuration import PipelineConfig, Section


class Stage(StrEnum):
    """The stages whose model version may score."""

    STAGING = "staging"
    PRODUCTION = "production"


class ShardRules(Section):
    """How many shards a day becomes.

    Attributes:
        rows: Rows that one shard holds at most, unless there would be more than ``most`` shards.
        most: Number of shards of the largest day.
    """

    rows: int = Field(gt=0)
    most: int = Field(gt=0, le=1000)

    def spans(self, rows: int) -> list[tuple[int, int]]:
        """Cut rows into spans of nearly equal size: first row, and the row after the last; at least one span."""
        count = max(1, min(self.most, -(-rows // self.rows)))
        return [(rows * number // count, rows * (number + 1) // count) for number in range(count)]


class ShadowRules(Section):
    """Whether a challenger scores each day too, beside the predictions.

    Attributes:
        enabled: Whether it does.
        version: Number of the challenger; by default the version in ``staging``.
    """

    enabled: bool
    version: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _version_has_an_effect(self) -> Self:
        if self.version is not None and not self.enabled:
            raise ValueError(f"version {self.version} has no effect while enabled is false")
        return self


class BatchInferenceConfig(PipelineConfig):
    """Configuration of the ``batch_inference`` pipeline.

    Attributes:
        landing: Root of the daily input partitions.
        predictions: Root of the daily predictions.
        quarantine: Root of the rows that were refused.
        shadow_scores: Root of what a challenger made of the same partitions.
        model_name: Name of the model in ZenML's Model Control Plane.
        decision_threshold: A risk at or above it is a ``high_risk`` decision; 0 to 1.
        batch_rows: Rows per Arrow record batch; bounds the memory of a run.
        shards: How many shards a day is scored in where the environment runs them as tasks of their own.
    """

    SECTION: ClassVar[str] = "batch_inference"

    landing: str = Field(min_length=1)
    predictions: str = Field(min_length=1)
    quarantine: str = Field(min_length=1)
    shadow_scores: str = Field(min_length=1)
    model_name: str = Field(min_length=1)
    stage: Stage
    decision_threshold: float = Field(gt=0, lt=1)
    batch_rows: int = Field(gt=0)
    shards: ShardRules
    shadow: ShadowRules

    @model_validator(mode="after")
    def _shadow_has_a_place_of_its_own(self) -> Self:
        shadow = _place(self.shadow_scores)
        for name in ("landing", "predictions", "quarantine"):
            other = _place(getattr(self, name))
            if shadow.startswith(other) or other.startswith(shadow):
                raise ValueError(
                    f"storage.shadow {self.shadow_scores!r} and storage.{name} {getattr(self, name)!r} are "
                    "nested: readers of one would find the other"
                )
        return self

    @classmethod
    def shared(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """See :class:`PipelineConfig`."""
        storage = settings["storage"]
        return {
            **{key: storage[key] for key in ("landing", "predictions", "quarantine")},
            "shadow_scores": storage["shadow"],
        }


def _place(location: str) -> str:
    """A location in the one spelling by which it is compared with others."""
    scheme, separator, path = location.rpartition("://")
    return f"{scheme}{separator}{posixpath.normpath(path)}/"
