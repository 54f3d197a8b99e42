"""What most of the platform's data is: unchangeable, and what it does not know is refused."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Data that does not change once it is checked."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Deferred(Frozen):
    """The same, built when it is first used: Airflow imports it with every DAG file."""

    model_config = ConfigDict(defer_build=True)
