"""The base of the values that are checked once and never change."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A value that is checked when it is made, refuses fields that it does not know, and never changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())
