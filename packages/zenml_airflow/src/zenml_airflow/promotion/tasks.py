"""The tasks of a promotion DAG around the comparison and the approval: judge, promote, notify."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.utils.skipmixin import SkipMixin
from airflow.sdk import Asset, AssetAlias, BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from zenml_airflow.alerts import notify
from zenml_airflow.client.candidates import ValidityCondition
from zenml_airflow.dags import task_settings
from zenml_airflow.hooks.zenml import ZenMLHook
from zenml_airflow.operators.processes import enter_zenml
from zenml_airflow.promotion.approval import REASON_LENGTH, TASK_LIMIT, validity
from zenml_airflow.promotion.outcome import OUTCOME_KEY, PromotionOutcome, record_outcome
from zenml_airflow.promotion.service import promotion_service
from zenml_airflow.settings.project import Settings

if TYPE_CHECKING:
    from airflow.sdk import Context


class _PromotionTask(BaseOperator):
    """What the tasks have in common: the environment, and ZenML in the task's own process."""

    ui_color = "#e6dcf7"

    def __init__(self, *, environment: str, **kwargs: Any) -> None:
        kwargs.setdefault("execution_timeout", TASK_LIMIT)
        super().__init__(**kwargs)
        self.environment = environment

    def enter(self) -> Settings:
        """Point ZenML at the environment's server, and return the environment's settings."""
        settings = task_settings(self, self.environment)
        enter_zenml(settings)
        return settings


class PromotionDecisionOperator(_PromotionTask, SkipMixin):
    """Decides whether a candidate that was compared goes on; what follows is skipped if it does not.

    It stands behind the task group of the comparison, whose ZenML run it reads.

    Args:
        candidate: What :class:`~zenml_airflow.sensors.candidate.CandidateSensor` returned.
    """

    inherits_from_skipmixin = True
    template_fields: Sequence[str] = ("candidate",)

    def __init__(self, *, candidate: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.candidate = candidate

    def execute(self, context: Context) -> dict[str, Any]:
        """Return the candidate with what the comparison and the policies say of it.

        Raises:
            AirflowFailException: If the policies refuse it whatever a person says.
        """
        settings, found = self.enter(), dict(self.candidate)
        assessed = promotion_service().assess(
            model=found["model"],
            version=found["version"],
            stage=found["target"],
            environment=self.environment,
            comparison_run=self._comparison_run(context),
        )
        assessed = {**found, **assessed, "comparison_run": self._comparison_run(context)}
        text = (
            f"{found['model']} version {found['version']} is {assessed['verdict']} for {found['target']}: "
            f"{assessed['reason']}"
        )
        self.log.info("%s", text)
        for number in assessed["numbers"]:
            self.log.info("%s", number)
        if assessed["verdict"] not in settings.airflow.promotion.accept:
            record_outcome(context, PromotionOutcome.NOT_ACCEPTED, "\n".join([text, *assessed["numbers"]]))
            context["ti"].xcom_push(key="return_value", value=assessed)
            self.skip(ti=context["ti"], tasks=self.get_direct_relatives(upstream=False))
        if assessed["refusals"]:
            raise AirflowFailException("\n".join([f"{text} It would be refused:", *assessed["refusals"]]))
        return assessed

    def _comparison_run(self, context: Context) -> str:
        """The ZenML run of the group before; its last tasks all name it."""
        results = context["ti"].xcom_pull(task_ids=sorted(self.upstream_task_ids))
        runs = {found["run_id"] for found in results if isinstance(found, Mapping) and "run_id" in found}
        if len(runs) != 1:
            raise AirflowFailException(
                f"The tasks before this one name {len(runs)} ZenML runs, not one, that of the comparison: place "
                "this task behind the task group of champion_challenger."
            )
        return str(runs.pop())


class PromoteOperator(_PromotionTask):
    """Records what was decided, and promotes what was approved.

    Args:
        assessed: What :class:`PromotionDecisionOperator` returned.
        answer: What :class:`~zenml_airflow.promotion.approval.PromotionApprovalOperator` returned.
        assets: Asset of each stage that is updated when a version has entered it.
    """

    template_fields: Sequence[str] = ("assessed", "answer")

    def __init__(self, *, assessed: Any, answer: Any, assets: Mapping[str, Asset], **kwargs: Any) -> None:
        # An outlet is updated whenever its task succeeds; which stage it is, a run's parameter says.
        self.alias = AssetAlias(f"promoted_by_{kwargs['task_id']}")
        # Airflow shows and schedules only on assets that some DAG names; the alias alone names none.
        super().__init__(inlets=[*assets.values()], outlets=[self.alias], **kwargs)
        self.assessed = assessed
        self.answer = answer
        self.assets = dict(assets)

    def execute(self, context: Context) -> dict[str, Any]:
        """Promote, and return what has changed.

        Raises:
            AirflowSkipException: If it was rejected, or the candidate is no longer valid.
            AirflowFailException: If the promotion is refused; trying again would change nothing.
        """
        settings, found, answer, service = self.enter(), self.assessed, self.answer, promotion_service()
        run = context["dag_run"]
        subject = {"model": found["model"], "version": found["version"], "stage": found["target"]}
        links = {"dag_run": f"{run.dag_id}/{run.run_id}", "comparison_run": found["comparison_run"]}
        airflow = f"airflow:{run.dag_id}/{run.run_id}"
        if answer["asked"] and not answer["approved"]:
            why, actor = answer["reason"], answer["by"] or airflow
            if len(why) < REASON_LENGTH:
                why = f"{why} (no further reason was given)".strip()
            service.decide(**subject, approved=False, reason=why, actor=actor, links=links)
            outcome = PromotionOutcome.TIMED_OUT if answer["timed_out"] else PromotionOutcome.REJECTED
            self._stop(
                context, outcome, f"{subject['model']} version {subject['version']} was rejected by {actor}: {why}"
            )
        if ended := self._ended(found, settings):
            self._stop(context, PromotionOutcome.SUPERSEDED, ended)
        why, actor = f"Compared with the champion: {found['verdict']}.", airflow
        if answer["asked"]:
            why, actor = answer["reason"], answer["by"]
            service.decide(**subject, approved=True, reason=why, actor=actor, links=links)
        result = service.promote(**subject, environment=self.environment, reason=why, actor=actor, links=links)
        if result["refused"]:
            raise AirflowFailException(result["refused"])
        if not result["changed"]:
            self._stop(context, PromotionOutcome.SUPERSEDED, result["text"])
        record_outcome(context, PromotionOutcome.PROMOTED, f"{result['text']} By {actor}: {why}")
        if asset := self.assets.get(found["target"]):
            extra = {**subject, "previous": result["archived_version"], "by": actor, **links}
            context["outlet_events"][self.alias].add(asset, extra=extra)
        return result

    def _ended(self, found: Mapping[str, Any], settings: Settings) -> str | None:
        condition = ValidityCondition.parse(validity(found, settings))
        verdict = ZenMLHook(settings.airflow.connection).judge(condition)
        return verdict.message if verdict.is_final else None

    def _stop(self, context: Context, outcome: PromotionOutcome, text: str) -> None:
        record_outcome(context, outcome, text)
        raise AirflowSkipException(text)


class PromotionNotificationOperator(_PromotionTask):
    """Sends a notification of how the run ended; for a failed run the DAG's own callback does."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trigger_rule="none_failed", **kwargs)

    def execute(self, context: Context) -> dict[str, str]:
        """Notify, and return how the run ended."""
        self.enter()
        before = sorted(self.get_flat_relative_ids(upstream=True))
        outcomes = [one for one in context["ti"].xcom_pull(task_ids=before, key=OUTCOME_KEY) if one]
        if not outcomes:
            self.log.info("There was no candidate.")
            return {"outcome": "no candidate", "text": "No candidate came in time."}
        outcome: dict[str, str] = outcomes[-1]
        notify(f"Promotion {outcome['outcome']}: {outcome['text']}")
        return outcome
