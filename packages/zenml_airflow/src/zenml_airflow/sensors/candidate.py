"""The sensor that a promotion begins with: it waits for a version that could enter a stage."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSensorTimeout, AirflowSkipException

from zenml_airflow.client.candidates import CandidateCondition
from zenml_airflow.client.conditions import Condition, Verdict, judge_async
from zenml_airflow.dags import current_settings
from zenml_airflow.hooks.zenml import ZenMLHook
from zenml_airflow.sensors.deduplicated_polls import deduplicated_poll
from zenml_airflow.sensors.triggers import ZenMLTrigger
from zenml_airflow.sensors.zenml import ZenMLSensor

if TYPE_CHECKING:
    from airflow.sdk import Context


async def poll_condition(condition: Condition, poke_seconds: float, zenml_conn_id: str | None) -> Verdict:
    """Judge a condition, with one query for all triggers of this process that ask the same."""

    async def ask() -> Verdict:
        async with ZenMLHook(zenml_conn_id).async_reader() as read:
            return await judge_async(condition, read)

    asked = json.dumps([type(condition).__name__, condition.model_dump(mode="json")], sort_keys=True)
    return await deduplicated_poll((zenml_conn_id, asked), poke_seconds * 0.9, ask)


class CandidateTrigger(ZenMLTrigger):
    """Fires when a version could enter the stage; however many of them wait, ZenML is asked once an interval."""

    kind = CandidateCondition

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[Callable[[Condition], Awaitable[Verdict]]]:
        """A function that asks ZenML, or takes the answer that another trigger has just received."""
        yield partial(poll_condition, poke_seconds=self.poke_seconds, zenml_conn_id=self.zenml_conn_id)


class CandidateSensor(ZenMLSensor):
    """Waits until a version could enter a stage: its run completed and every gate passed.

    It waits in the triggerer. Without a version in time there is nothing to promote: the task is skipped.

    Args:
        version: Number of the version; empty for the newest that fits. One that will never fit fails the task.
        zenml_conn_id: Airflow connection of the ZenML server; the environment's by default.
    """

    kind = CandidateCondition
    trigger = CandidateTrigger
    template_fields: Sequence[str] = (*CandidateCondition.model_fields, "zenml_conn_id")

    def __init__(
        self,
        *,
        environment: str,
        model: str,
        stage: str,
        version: str | int | None = None,
        required: Sequence[str] = (),
        zenml_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        airflow = current_settings(environment).airflow
        kwargs.setdefault("timeout", airflow.sensor_timeout_seconds)
        kwargs.setdefault("poke_interval", airflow.sensor_poke_seconds)
        super().__init__(zenml_conn_id=zenml_conn_id or airflow.connection, deferrable=True, **kwargs)
        self.model = model
        self.stage = stage
        self.version = version
        self.required = list(required)
        self._check_choice()

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Take up the task after the wait.

        Raises:
            AirflowSkipException: If no version came in time.
        """
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowSensorTimeout:
            raise AirflowSkipException(
                f"No candidate for {self.stage} came within {self.timeout:g} s: nothing to promote."
            ) from None
