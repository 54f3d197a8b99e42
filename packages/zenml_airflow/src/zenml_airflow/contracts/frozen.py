"""The base of the values that are checked once and never change."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A value that is checked when it is made, refuses fields that it does not know, and never changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Deferred(Frozen):
    """The same, built when it is first used: Airflow imports it with every DAG file."""

    model_config = ConfigDict(defer_build=True)
