"""Triggers that watch ZenML from Airflow's triggerer.

All triggers of a triggerer share one event loop: nothing here may block it. A server is asked with asynchronous
HTTP; the local store, and the import of ZenML that it needs, run in a thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Self

from airflow.triggers.base import BaseTrigger, TriggerEvent

from zenml_airflow.client.api import ServerError, ServerUnreachableError, ZenMLApiError
from zenml_airflow.client.conditions import (
    Condition,
    ModelVersionCondition,
    Outcome,
    PipelineRunCondition,
    Verdict,
    judge_async,
)
from zenml_airflow.hooks.zenml import ZenMLHook

DEFERRED_SECONDS = 10.0
"""How long a task stays deferred at least.

The end of the process that deferred may be known five seconds late (``[workers] min_heartbeat_interval``). Airflow
3.3 takes that for the end of a task that has resumed meanwhile, and fails it (apache/airflow#72716). A person who
answers a required action resumes the task without the trigger: only a shorter interval helps there.
"""


async def stay_deferred(since: float) -> None:
    """Wait until :data:`DEFERRED_SECONDS` have passed since a reading of the monotonic clock."""
    await asyncio.sleep(max(0.0, since + DEFERRED_SECONDS - time.monotonic()))


class ZenMLTrigger(BaseTrigger):
    """Fires when a condition is met, or will not be met any more.

    The event holds the outcome, a message and what was found. A server that does not answer is asked again until
    the sensor's timeout: a restart of ZenML must not fail every run that waits.

    Args:
        condition: The condition, as JSON.
        zenml_conn_id: Airflow connection of the ZenML server; ``None`` for the local store. The key itself is
            never part of a trigger, which Airflow stores in its database.
    """

    kind: ClassVar[type[Condition]]

    def __init__(
        self, condition: Mapping[str, Any], poke_seconds: float, zenml_conn_id: str | None = None
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.condition = dict(condition)
        self.poke_seconds = poke_seconds
        self.zenml_conn_id = zenml_conn_id

    @classmethod
    def watching(cls, condition: Condition, poke_seconds: float, zenml_conn_id: str | None) -> Self:
        """The trigger that watches a condition."""
        return cls(condition.model_dump(mode="json", exclude_defaults=True), poke_seconds, zenml_conn_id)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what recreates the trigger in the triggerer."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "condition": self.condition,
            "poke_seconds": self.poke_seconds,
            "zenml_conn_id": self.zenml_conn_id,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until the condition is decided, or ZenML refuses to answer."""
        began = time.monotonic()
        try:
            verdict = await self._decided()
        except (ZenMLApiError, ServerError) as error:
            verdict = Verdict(Outcome.FAILED, str(error))
        payload = {"outcome": verdict.outcome.value, "message": verdict.message, "found": verdict.found}
        await stay_deferred(began)
        yield TriggerEvent(payload)  # type: ignore[no-untyped-call]

    async def _decided(self) -> Verdict:
        condition = self.kind.parse(self.condition)
        async with self.asking() as poll:
            while True:
                try:
                    verdict = await poll(condition)
                    if verdict.is_final:
                        return verdict
                except ServerUnreachableError as error:
                    self.log.warning("%s Retrying in %s s.", error, self.poke_seconds)
                await asyncio.sleep(self.poke_seconds)

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[Callable[[Condition], Awaitable[Verdict]]]:
        """A function that judges the condition, with one login for all polls."""
        async with ZenMLHook(self.zenml_conn_id).async_reader() as read:

            async def poll(condition: Condition) -> Verdict:
                return await judge_async(condition, read)

            yield poll


class ZenMLRunTrigger(ZenMLTrigger):
    """Fires when a pipeline run has finished."""

    kind = PipelineRunCondition


class ZenMLModelVersionTrigger(ZenMLTrigger):
    """Fires when a model has a version of a certain kind."""

    kind = ModelVersionCondition
