"""Pipelines of steps that do nothing worth the name: what is left of their run time is overhead."""

from __future__ import annotations

from zenml import pipeline, step
from zenml.pipelines.pipeline_definition import Pipeline


def start() -> int:
    """Begin the chain."""
    return 0


def increment(value: int) -> int:
    """Add one."""
    return value + 1


start_step = step(enable_cache=False)(start)
increment_step = step(enable_cache=False)(increment)


def chain(steps: int) -> Pipeline:
    """A pipeline of that many steps, one after the other, each with one small output."""

    @pipeline(name=f"chain_{steps}", enable_cache=False)
    def chained() -> None:
        value = start_step()
        for _ in range(steps - 1):
            value = increment_step(value)

    return chained


def bare(steps: int) -> int:
    """The same work as plain function calls."""
    value = start()
    for _ in range(steps - 1):
        value = increment(value)
    return value
