"""Sensors that wait for what others do in ZenML: finish a pipeline run, bring a model version to a stage.

They wait in the triggerer unless told otherwise: a promotion may wait for days, and a worker's slot is too much
for that. ``[operators] default_deferrable`` is not asked, since its default is off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseSensorOperator, PokeReturnValue
from airflow.sdk.exceptions import AirflowFailException

from zenml_airflow.client.conditions import (
    Condition,
    ConditionError,
    ModelVersionCondition,
    Outcome,
    PipelineRunCondition,
    Verdict,
)
from zenml_airflow.hooks.zenml import ZenMLHook
from zenml_airflow.sensors.triggers import ZenMLModelVersionTrigger, ZenMLRunTrigger, ZenMLTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


class ZenMLSensor(BaseSensorOperator):
    """What the sensors have in common: a condition, a connection, a place to wait."""

    kind: ClassVar[type[Condition]]
    trigger: ClassVar[type[ZenMLTrigger]]
    ui_color = "#d9e8f5"

    def __init__(self, *, zenml_conn_id: str | None, deferrable: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.zenml_conn_id = zenml_conn_id
        self.deferrable = deferrable

    def _values(self) -> dict[str, Any]:
        """The attributes of the condition, which are template fields."""
        return {name: getattr(self, name) for name in self.kind.model_fields}

    def _check_choice(self) -> None:
        """Refuse, while the DAG file is parsed, a condition that names nothing or names it twice."""
        given = {name for name, value in self._values().items() if value not in (None, "", (), [], {})}
        if problem := self.kind.problem(given):
            raise ConditionError(f"{type(self).__name__} {self.task_id!r}: {problem}.")

    def execute(self, context: Context) -> Any:
        """Succeed at once if the condition is met, else wait; return ids and names of what was found.

        Raises:
            AirflowFailException: If it will not be met any more; a retry would find the same.
            ZenMLApiError: If ZenML cannot be asked; a retry may help.
        """
        if not self.deferrable:
            return super().execute(context)
        condition = self.kind.parse(self._values())
        verdict = self._poll(condition)
        if verdict.is_final:
            return self._concluded(verdict)
        self.log.info("Waiting in the triggerer.")
        self.defer(
            trigger=self.trigger.watching(condition, self.poke_interval, self.zenml_conn_id),
            method_name="resume",
            timeout=timedelta(seconds=self.timeout),
        )
        return None

    def poke(self, context: Context) -> PokeReturnValue:  # noqa: ARG002 - Airflow's signature
        """Poll once, for a sensor that waits in a worker."""
        verdict = self._poll(self.kind.parse(self._values()))
        if not verdict.is_final:
            return PokeReturnValue(is_done=False)
        return PokeReturnValue(is_done=True, xcom_value=self._concluded(verdict))

    def resume(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - Airflow's signature
        """Finish once the triggerer has decided.

        Raises:
            AirflowFailException: If the condition will not be met any more.
        """
        verdict = Verdict(Outcome(event["outcome"]), event["message"], event["found"])
        self.log.info("%s", verdict.message)
        return self._concluded(verdict)

    def _poll(self, condition: Condition) -> Verdict:
        verdict = ZenMLHook(self.zenml_conn_id).judge(condition)
        self.log.info("%s", verdict.message)
        return verdict

    def _concluded(self, verdict: Verdict) -> dict[str, Any]:
        if verdict.outcome is Outcome.FAILED:
            raise AirflowFailException(verdict.message)
        return verdict.found


class ZenMLPipelineRunSensor(ZenMLSensor):
    """Waits until a ZenML pipeline run has finished; fails if it did not end well.

    Args:
        run_id: Id of the run; or
        pipeline: name of the pipeline, whose latest run is meant that belongs to
        external_dag_id: a DAG,
        external_dag_run_id: a DAG run of it,
        logical_date: a day, as an ISO date in the time zone of the environment,
        tags: and carries these tags.
        zenml_conn_id: Airflow connection of the ZenML server; ``None`` for the local store.

    Raises:
        ConditionError: If they do not name one run.
    """

    kind = PipelineRunCondition
    trigger = ZenMLRunTrigger
    template_fields: Sequence[str] = (*PipelineRunCondition.model_fields, "zenml_conn_id")

    def __init__(
        self,
        *,
        run_id: str | None = None,
        pipeline: str | None = None,
        external_dag_id: str | None = None,
        external_dag_run_id: str | None = None,
        logical_date: str | None = None,
        tags: Sequence[str] = (),
        zenml_conn_id: str | None = None,
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(zenml_conn_id=zenml_conn_id, deferrable=deferrable, **kwargs)
        self.run_id = run_id
        self.pipeline = pipeline
        self.external_dag_id = external_dag_id
        self.external_dag_run_id = external_dag_run_id
        self.logical_date = logical_date
        self.tags = list(tags)
        self._check_choice()


class ZenMLModelVersionSensor(ZenMLSensor):
    """Waits until a model has a version of a certain kind; returns the newest one.

    Args:
        model: Name of the model; it need not exist yet.
        newer_than: Number that the version's own exceeds, or a stage such as ``"production"``: newer than the
            version that holds it, any version where none does.
        metadata: Values that are recorded on the version, such as ``{"gates.passed": True}``.
        zenml_conn_id: Airflow connection of the ZenML server; ``None`` for the local store.

    Raises:
        ConditionError: If they do not say which version.
    """

    kind = ModelVersionCondition
    trigger = ZenMLModelVersionTrigger
    template_fields: Sequence[str] = (*ModelVersionCondition.model_fields, "zenml_conn_id")

    def __init__(
        self,
        *,
        model: str,
        stage: str | None = None,
        newer_than: int | str | None = None,
        metadata: Mapping[str, Any] | None = None,
        zenml_conn_id: str | None = None,
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(zenml_conn_id=zenml_conn_id, deferrable=deferrable, **kwargs)
        self.model = model
        self.stage = stage
        self.newer_than = newer_than
        self.metadata = dict(metadata or {})
        self._check_choice()
