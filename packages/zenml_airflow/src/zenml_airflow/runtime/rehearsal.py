"""A pipeline that does nothing: :mod:`zenml_airflow.runtime.preload` runs it once before a process forks tasks."""

from typing import Annotated

from zenml import pipeline, step  # noqa: TID253 - imported once the rehearsal begins


@step(enable_cache=False)
def begin() -> Annotated[int, "number"]:
    """Give something that is stored."""
    return 1


@step(enable_cache=False)
def end(number: int) -> Annotated[int, "number"]:
    """Take what was stored."""
    return number


@pipeline(enable_cache=False)
def rehearsal() -> None:
    """Two steps, the second of which loads an artifact."""
    end(begin())
