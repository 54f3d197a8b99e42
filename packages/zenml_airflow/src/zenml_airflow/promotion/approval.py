"""The task that asks a person whether a candidate may enter a stage, as long as the candidate is valid."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.providers.standard.triggers.hitl import HITLTrigger
from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskAwaitingInput
from airflow.triggers.base import TriggerEvent

from zenml_airflow.alerts import notify
from zenml_airflow.client.api import ServerError, ZenMLApiError
from zenml_airflow.client.candidates import ValidityCondition
from zenml_airflow.dags import current_settings, task_settings
from zenml_airflow.operators.processes import enter_zenml
from zenml_airflow.promotion.outcome import PromotionOutcome, record_outcome
from zenml_airflow.promotion.subject import ApprovalSubject
from zenml_airflow.sensors.candidate import poll_condition
from zenml_airflow.sensors.triggers import stay_deferred
from zenml_airflow.settings.promotion import AskFor

if TYPE_CHECKING:
    from airflow.sdk import Context

    from zenml_airflow.settings.project import Settings

REASON = "reason"
"""Param of the form in which the person says why."""

REASON_LENGTH = 10
"""Characters that a reason has at least, as the audit log demands."""

TASK_LIMIT = timedelta(minutes=15)
"""How long a task of a promotion may work; how long it waits is said elsewhere."""

GRACE = timedelta(minutes=15)
"""Airflow ends a trigger that has outlived its time-out by this; the trigger answers by itself before."""


class Answer(StrEnum):
    """What a person can answer."""

    APPROVE = "Approve"
    REJECT = "Reject"


class ApprovalTrigger(HITLTrigger):
    """Waits for the answer, and checks meanwhile whether the candidate is still valid.

    Args:
        poke_seconds: Wait between two polls of ZenML.
        zenml_conn_id: Airflow connection of the ZenML server; ``None`` for the local store.
    """

    def __init__(
        self, *, validity: Mapping[str, Any], poke_seconds: float, zenml_conn_id: str | None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.validity = dict(validity)
        self.poke_seconds = poke_seconds
        self.zenml_conn_id = zenml_conn_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what recreates the trigger in the triggerer."""
        own = {"validity": self.validity, "poke_seconds": self.poke_seconds, "zenml_conn_id": self.zenml_conn_id}
        return f"{__name__}.ApprovalTrigger", {**super().serialize()[1], **own}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire with the answer, with the time-out's, or with what has ended the candidacy."""
        began = time.monotonic()
        answer = asyncio.ensure_future(anext(super().run()))
        ended = asyncio.ensure_future(self._ended())
        try:
            await asyncio.wait({answer, ended}, return_when=asyncio.FIRST_COMPLETED)
            await stay_deferred(began)
            # Whoever answered in the same moment is heard.
            yield answer.result() if answer.done() else _event({"superseded": ended.result()})
        finally:
            answer.cancel()
            ended.cancel()

    async def _ended(self) -> str:
        condition = ValidityCondition.parse(self.validity)
        while True:
            try:
                verdict = await poll_condition(condition, self.poke_seconds, self.zenml_conn_id)
                if verdict.is_final:
                    return verdict.message
            except (ZenMLApiError, ServerError) as error:
                # The approval stays open: what is promoted is checked again before.
                self.log.warning("%s Retrying in %s s.", error, self.poke_seconds)
            await asyncio.sleep(self.poke_seconds)


class PromotionApprovalOperator(HITLOperator):
    """Asks the users whom the environment names, if a person is to be asked at all.

    The approval is a required action in Airflow's UI. The task holds no worker meanwhile. Without an answer in
    time the candidate is rejected. A candidate that somebody else has promoted, archived or rejected meanwhile,
    that a newer one supersedes, or whose champion was replaced, is not asked about any longer: the task is
    skipped.

    Args:
        assessed: What :class:`~zenml_airflow.promotion.tasks.PromotionDecisionOperator` returned.
    """

    template_fields: Sequence[str] = ("subject", "body", "assessed")
    ui_color = "#f5e6c8"

    def __init__(self, *, environment: str, assessed: Any, **kwargs: Any) -> None:
        airflow = current_settings(environment).airflow
        self.environment = environment
        self.assessed = assessed
        kwargs.setdefault("execution_timeout", TASK_LIMIT)
        kwargs.setdefault("response_timeout", timedelta(seconds=airflow.promotion.approval.timeout_seconds))
        # The DAG's own params come in here; the form has this one only.
        kwargs["params"] = {
            REASON: Param(
                "",
                type="string",
                title="Reason",
                description=f"Why; at least {REASON_LENGTH} characters. It goes into the audit log.",
                source="task",
            )
        }
        super().__init__(
            subject="Promote the candidate?",
            options=[answer.value for answer in Answer],
            defaults=[Answer.REJECT.value],
            **kwargs,
        )

    def execute(self, context: Context) -> dict[str, Any]:
        """Ask, and wait in the triggerer; return at once where nobody is to be asked.

        Raises:
            AirflowFailException: If nobody is named who may answer.
        """
        settings, found = task_settings(self, self.environment), self.assessed
        airflow = settings.airflow
        why = found["asks_approval"]
        if not why and airflow.promotion.approval.ask is AskFor.POLICY:
            self.log.info("No policy demands that a person approves this.")
            return {"asked": False}
        try:
            users = airflow.promotion.approval.users(found["target"])
        except ValueError as error:
            raise AirflowFailException(str(error)) from None
        self.assigned_users = [{"id": user, "name": name} for user, name in users.items()]
        self.subject = str(ApprovalSubject(found["model"], found["version"], found["target"]))
        self.body = _body(found, why)
        enter_zenml(settings)
        notify(
            f"Approval required: {self.subject} {found['reason']} "
            f"{self.generate_link_to_ui_from_context(context=context)}"
        )
        try:
            super().execute(context)
        except TaskAwaitingInput:
            # Airflow would park the task without a trigger, and then nothing would poll ZenML.
            self._wait(context, found, airflow.sensor_poke_seconds, airflow.connection)
        return {}

    def _wait(self, context: Context, found: Mapping[str, Any], poke: float, conn_id: str | None) -> None:
        from airflow.sdk.timezone import utcnow

        limit = self.response_timeout or timedelta()
        self.defer(
            trigger=ApprovalTrigger(
                ti_id=context["ti"].id,
                options=self.options,
                params=self.serialized_params,
                defaults=self.defaults,
                timeout_datetime=utcnow() + limit,
                validity=validity(found, task_settings(self, self.environment)),
                poke_seconds=poke,
                zenml_conn_id=conn_id,
            ),
            method_name="execute_complete",
            timeout=limit + GRACE,
        )

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Return the answer: ``approved``, ``by``, ``reason``, ``timed_out``.

        Raises:
            AirflowSkipException: If the candidate is no longer valid.
            AirflowFailException: If it was approved without a reason; clearing the task asks again.
        """
        if "superseded" in event:
            record_outcome(context, PromotionOutcome.SUPERSEDED, event["superseded"])
            raise AirflowSkipException(event["superseded"])
        if "error" in event:
            self.process_trigger_event_error(event)
        self.validate_chosen_options(event["chosen_options"])
        user = event.get("responded_by_user")
        answer = {
            "asked": True,
            "approved": event["chosen_options"] == [Answer.APPROVE.value],
            "timed_out": user is None,
            "by": user and f"airflow-user:{user['id']}",
            "reason": str((event.get("params_input") or {}).get(REASON) or "").strip(),
        }
        if answer["timed_out"]:
            answer["reason"] = f"Nobody answered within {self.response_timeout}."
        if answer["approved"] and len(answer["reason"]) < REASON_LENGTH:
            raise AirflowFailException(
                f"{answer['by']} approved it without a reason of at least {REASON_LENGTH} characters, which the "
                "audit log asks for: clear this task to be asked again."
            )
        self.log.info("Answer: %s", answer)
        return answer


def _event(payload: dict[str, Any]) -> TriggerEvent:
    return TriggerEvent(payload)  # type: ignore[no-untyped-call]


def validity(found: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """The condition under which a candidate that was assessed is still valid, as JSON."""
    condition = ValidityCondition(
        model=found["model"],
        version=found["version"],
        target=found["target"],
        stage=found["stage"],
        champion=found["champion"],
        named=found["named"],
        accepted=tuple(settings.airflow.promotion.accept),
    )
    return condition.model_dump(mode="json", exclude_defaults=True)


def _body(found: Mapping[str, Any], why: str) -> str:
    """What the person reads, in Markdown."""
    against = f"version {found['champion']}" if found["champion"] else "no version"
    lines = [
        f"**{found['model']} version {found['version']}** is to enter **{found['target']}**, which holds "
        f"{against}.",
        f"Compared with the champion it is **{found['verdict']}**: {found['reason']}",
        "\n".join(f"- {number}" for number in found["numbers"]),
        f"Comparison: ZenML run `{found['comparison_run']}`.",
        f"You are asked because {why}." if why else "You are asked because this environment always asks.",
        f"Give a reason of at least {REASON_LENGTH} characters.",
    ]
    return "\n\n".join(line for line in lines if line)
