"""What the operators of all launchers have in common: which steps to run, and that nothing is green by default."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from zenml_airflow.context import CONTEXT_ENV, SHARD_COUNTS, RunContext
from zenml_airflow.contracts.enums import Launcher
from zenml_airflow.dags import task_settings
from zenml_airflow.links.links import MLflowRunLink, ZenMLRunLink
from zenml_airflow.operators.guards import TaskStart, ask_guards
from zenml_airflow.operators.shards import shards_key
from zenml_airflow.run_date import PARTITION_DATE, context_from_airflow

if TYPE_CHECKING:
    from airflow.sdk import Context

    from zenml_airflow.manifest.manifest import PolicyVerdict
    from zenml_airflow.runtime.runner import StepsRequest
    from zenml_airflow.settings.project import Settings

PREVIEW_LIMIT = 4000
"""Characters of metadata that an XCom carries; the rest stays in ZenML."""


class LaunchError(RuntimeError):
    """The process or container of a task ended without a record of success."""


class ZenMLSteps(BaseOperator):
    """What the operators of all launchers have in common: which steps, of which snapshot, for which run.

    Args:
        code_digest: sha256 of the code archive that the steps run from.
        steps: Invocation ids in topological order.
        placed: All steps that the task group places.
        zenml_conn_id: Airflow connection of the ZenML server; ``None`` for the local store.
        verdicts: What the policies said of it when it was deployed.
        shard: Number of the step's shard to work on; the steps themselves by default.
        run_params: Parameters of the pipeline's run; those of the DAG run by default.
    """

    launcher: Launcher
    template_fields: Sequence[str] = ("snapshot_id", "zenml_conn_id", "run_params")
    operator_extra_links = (ZenMLRunLink(), MLflowRunLink())
    ui_color = "#e6dcf7"

    def __init__(
        self,
        *,
        group_id: str,
        pipeline: str,
        snapshot_id: str,
        code_digest: str,
        steps: Sequence[str],
        placed: Sequence[str],
        environment_name: str,
        zenml_conn_id: str | None = None,
        stack_name: str = "",
        verdicts: Sequence[PolicyVerdict] = (),
        shard: int | None = None,
        run_params: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.shard = shard
        self.run_params = run_params
        self.group_id = group_id
        self.pipeline = pipeline
        self.snapshot_id = snapshot_id
        self.code_digest = code_digest
        self.steps = list(steps)
        self.placed = list(placed)
        self.environment_name = environment_name
        self.zenml_conn_id = zenml_conn_id
        self.start = TaskStart(environment_name, pipeline, stack_name, tuple(verdicts))
        self.recorded: dict[str, Any] | None = None
        self.day: str | None = None

    def describe_run(self, context: Context) -> tuple[StepsRequest, RunContext, Settings]:
        """What to run, for which run, in which environment; says so in the log.

        Raises:
            AirflowFailException: If a guard refuses the task; trying again would change nothing.
        """
        from zenml_airflow.runtime.runner import StepsRequest

        try:
            ask_guards(self.start)
        except Exception as refusal:
            raise AirflowFailException(str(refusal)) from refusal
        settings = task_settings(self, self.environment_name)
        run_context = context_from_airflow(context, settings)
        if self.run_params is not None:
            run_context = run_context.model_copy(update={"params": dict(self.run_params)})
        ti = context["ti"]
        request = StepsRequest(
            group_id=self.group_id,
            snapshot_id=self.snapshot_id,
            code_digest=self.code_digest,
            steps=tuple(self.steps),
            placed=tuple(self.placed),
            kept=self._kept_steps(context, run_context),
            last_try=ti.try_number > (ti.max_tries or 0),
            tracker_url=settings.mlflow_url,
            shard=self.shard,
        )
        self.day = run_context.partition_date.isoformat()
        self.log.info("%s: steps %s for %s", self.pipeline, self.steps, self.day)
        return request, run_context, settings

    def _kept_steps(self, context: Context, run_context: RunContext) -> tuple[str, ...]:
        """Steps of the group whose tasks stand as succeeded: not cleared, so not run again in this attempt."""
        if run_context.attempt == 0 and run_context.try_number == 1:
            return ()
        ti = context["ti"]
        found = ti.get_task_states(dag_id=run_context.dag_id, run_ids=[run_context.dag_run_id])
        states = found.get(run_context.dag_run_id, {})
        return tuple(
            step
            for task in self.dag.tasks
            if isinstance(task, ZenMLSteps) and task.group_id == self.group_id
            if states.get(task.task_id) == "success"
            for step in task.steps
        )

    def variables(self, request: StepsRequest, run_context: RunContext) -> dict[str, str]:
        """Variables that tell ``zenml_airflow.runtime.entrypoint`` what to run; none is a secret."""
        from zenml_airflow.runtime.entrypoint import REQUEST_ENV

        return {REQUEST_ENV: request.model_dump_json(), CONTEXT_ENV: run_context.model_dump_json()}

    def finish(self, context: Context, result: Mapping[str, Any] | None) -> dict[str, Any]:
        """Check that every step left a record of success, and hand it on: to the XCom and to asset events.

        Raises:
            LaunchError: If a step left none: nothing is green by default.
        """
        recorded = dict(result or {})
        if missing := [name for name in self.steps if name not in recorded.get("steps", {})]:
            raise LaunchError(f"The task ended without a record of {missing}: see the log above.")
        for step, count in recorded.get("metadata", {}).get(SHARD_COUNTS, {}).items():
            context["ti"].xcom_push(key=shards_key(step), value=count)
        recorded["metadata"] = _small(recorded.get("metadata", {}))
        event = {"zenml_run_id": recorded["run_id"], **recorded["metadata"], PARTITION_DATE: self.day}
        for outlet in self.outlets or []:
            context["outlet_events"][outlet].extra = event
        self.recorded = recorded
        return recorded

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Lineage of the task, for the OpenLineage provider where it is active."""
        from zenml_airflow.openlineage.lineage import get_openlineage_facets_on_complete

        return get_openlineage_facets_on_complete(task_instance)


def _small(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata that fits an XCom: JSON, short; what is too long stays in ZenML."""
    kept: dict[str, Any] = {}
    left = PREVIEW_LIMIT
    for key, value in metadata.items():
        text = json.dumps(value, default=str)
        if len(text) <= left:
            kept[key] = json.loads(text)
            left -= len(text)
    return kept
