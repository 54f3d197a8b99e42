"""Make a ZenML stack the active one for a while, in this process only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID


@contextmanager
def active_stack(stack_id: UUID) -> Iterator[None]:
    """Make a stack the active one of this process.

    Through the variable that ZenML sets in step containers, and not through ``zenml stack set``: that one is
    stored, and two processes would fight over it. ZenML asks for the active stack also where it cleans up after
    a failed step, so a step must run with its own stack active.
    """
    from zenml.constants import ENV_ZENML_ACTIVE_STACK_ID

    previous = os.environ.get(ENV_ZENML_ACTIVE_STACK_ID)
    os.environ[ENV_ZENML_ACTIVE_STACK_ID] = str(stack_id)
    try:
        yield
    finally:
        if previous is None:
            del os.environ[ENV_ZENML_ACTIVE_STACK_ID]
        else:
            os.environ[ENV_ZENML_ACTIVE_STACK_ID] = previous
