"""Notify people of a failed DAG run through the stack's alerter, once a run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from zenml_mlops.enforcement.started_for import STARTED_FOR

if TYPE_CHECKING:
    from zenml.alerter import BaseAlerter

log = logging.getLogger(__name__)


def notify_stack_alerter(context: Any) -> None:
    """Post that a DAG run failed to every alerter of the environment's stacks.

    Airflow calls it when the whole run has failed, not for each of its tasks. Where no stack has an alerter, the
    message goes to the log of the DAG processor, which runs the callbacks.

    Args:
        context: Airflow's callback context.

    Raises:
        RuntimeError: If an alerter did not take the message.
    """
    notify_stack_alerter_text(failure_text(context))


def notify_stack_alerter_text(message: str) -> None:
    """Post a message to every alerter of the environment's stacks, or else to the log.

    Raises:
        RuntimeError: If an alerter did not take the message.
    """
    refused = []
    notified = False
    for alerter in _alerters():
        notified = True
        if not alerter.post(message):
            refused.append(alerter.name)
    if not notified:
        log.warning("%s (No stack of environment %r has an alerter.)", message, STARTED_FOR)
    if refused:
        raise RuntimeError(f"The alerters {refused} did not accept the message: {message}")


def failure_text(context: Any) -> str:
    """What failed, and where to look: one line, without anything of the data."""
    from airflow.configuration import conf

    run = context["dag_run"]
    dag_id, run_id = str(run.dag_id), str(run.run_id)
    parts = [f"DAG {dag_id}, run {run_id} failed in environment {STARTED_FOR!r}"]
    last = context.get("ti") or context.get("task_instance")
    if last is not None:
        parts.append(f"last task: {last.task_id}")
    if reason := context.get("reason"):
        parts.append(f"reason: {reason}")
    if base := conf.get("api", "base_url", fallback=""):
        parts.append(f"{base.rstrip('/')}/dags/{dag_id}/runs/{run_id}")
    return "; ".join(parts)


def _alerters() -> Iterator[BaseAlerter]:
    from zenml.client import Client
    from zenml.enums import StackComponentType
    from zenml.stack import StackComponent

    from zenml_mlops.policy.describe import environment_of

    seen = set()
    for stack in Client().list_stacks(size=100, hydrate=True):
        if environment_of(stack) != STARTED_FOR:
            continue
        for component in stack.components.get(StackComponentType.ALERTER, []):
            if component.id not in seen:
                seen.add(component.id)
                yield StackComponent.from_model(component)  # type: ignore[misc]
