"""The ``data`` section of the configuration, typed."""

from __future__ import annotations

from datetime import date
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, field_validator

from zenml_mlops.configuration import Section

if TYPE_CHECKING:
    from zenml_airflow.settings.project import Settings


class FeedConfig(Section):
    """How held-out rows are spread over calendar days.

    Attributes:
        per_day: Mean number of rows a day.
        seed: Seed of the daily volumes.
    """

    start_date: date
    per_day: Annotated[int, Field(ge=1, le=1_000_000)]
    seed: Annotated[int, Field(ge=0)]


class DataConfig(Section):
    """The source data and its replay.

    Attributes:
        raw: Folder of the fetched files, relative to the state folder.
        holdout_fraction: Latest share of rows, by row id, that no training run sees.
    """

    raw: str = Field(min_length=1)
    holdout_fraction: Annotated[float, Field(gt=0.0, lt=1.0)]
    feed: FeedConfig

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Build it from an environment's settings.

        Raises:
            ConfigError: If they break the schema; all problems at once.
        """
        return cls.checked(settings.data, "The data section in configs/ is wrong")

    @field_validator("raw")
    @classmethod
    def _stays_below_the_state_folder(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{value!r} leaves the state folder; name a folder below it, such as 'raw'")
        return value
