"""The operator that runs steps of a ZenML pipeline as an Airflow task.

Parsing a DAG file imports this module, so ZenML and the ML stack are imported only when a task executes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from airflow.sdk import BaseOperator

from zenml_airflow.context import RunContext
from zenml_airflow.enums import Launcher
from zenml_airflow.settings import load_settings

if TYPE_CHECKING:
    from airflow.sdk import Context

    from zenml_airflow.runner import StepsRequest
    from zenml_airflow.settings import Settings

DATE_PARAM = "date"
"""DAG run param that names the day of a run without a logical date."""


class RunDateError(ValueError):
    """The day that a run is for cannot be told."""


def context_from_airflow(context: Context, settings: Settings) -> RunContext:
    """Build the run context of an Airflow task.

    A run without a logical date (asset-triggered, or by hand) is for the day that its ``date`` param names, or
    else for the day on which it was due to run, in the environment's time zone.

    Args:
        context: Airflow's template context.
        settings: Settings of the environment.

    Raises:
        RunDateError: If the ``date`` param is not an ISO date.
    """
    dag_run = context["dag_run"]
    zone = ZoneInfo(settings.timezone)
    params = dict(context["params"])
    start, end = dag_run.data_interval_start, dag_run.data_interval_end
    logical = dag_run.logical_date
    if logical is None:
        day = _named_day(params) or dag_run.run_after.astimezone(zone).date()
        logical = datetime.combine(day, time.min, zone)
        start, end = logical, datetime.combine(day + timedelta(days=1), time.min, zone)
    return RunContext(
        logical_date=logical.astimezone(zone),
        data_interval_start=(start or logical).astimezone(zone),
        data_interval_end=(end or logical).astimezone(zone),
        dag_id=dag_run.dag_id,
        dag_run_id=dag_run.run_id,
        attempt=dag_run.clear_number or 0,
        attempt_started_at=dag_run.start_date or dag_run.run_after,
        try_number=context["ti"].try_number,
        params={key: value for key, value in params.items() if value is not None},
        environment=settings.environment,
        storage_root=settings.storage_root,
    )


def _named_day(params: dict[str, Any]) -> date | None:
    named = params.get(DATE_PARAM)
    if not named:
        return None
    try:
        return date.fromisoformat(str(named))
    except ValueError:
        raise RunDateError(f"Param {DATE_PARAM!r} must be a date such as 2026-01-05, found {named!r}.") from None


class ZenMLStepsOperator(BaseOperator):
    """Runs one or more steps of a deployed pipeline, in order, in one Airflow task.

    Args:
        group_id: The task group that places the pipeline.
        pipeline: Name of the pipeline.
        snapshot_id: The ZenML snapshot.
        code_digest: sha256 of the code archive that the steps run from.
        steps: Invocation ids in topological order.
        launcher: Where the code runs.
        environment: Name of the environment.
    """

    template_fields: Sequence[str] = ("snapshot_id",)
    ui_color = "#e6dcf7"

    def __init__(
        self,
        *,
        group_id: str,
        pipeline: str,
        snapshot_id: str,
        code_digest: str,
        steps: Sequence[str],
        launcher: Launcher,
        environment: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.group_id = group_id
        self.pipeline = pipeline
        self.snapshot_id = snapshot_id
        self.code_digest = code_digest
        self.steps = list(steps)
        self.launcher = Launcher(launcher).value
        self.environment = environment

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the steps and return what ZenML recorded: run id, statuses, small metadata."""
        from zenml_airflow.runner import StepsRequest

        settings = load_settings(self.environment)
        run_context = context_from_airflow(context, settings)
        request = StepsRequest(
            group_id=self.group_id,
            snapshot_id=self.snapshot_id,
            code_digest=self.code_digest,
            steps=tuple(self.steps),
        )
        self.log.info("%s: steps %s for %s", self.pipeline, self.steps, run_context.partition_date)
        result = self._launch(request, run_context, settings)
        for outlet in self.outlets or []:
            context["outlet_events"][outlet].extra = {"zenml_run_id": result["run_id"], **result["metadata"]}
        return result

    def _launch(self, request: StepsRequest, run_context: RunContext, settings: Settings) -> dict[str, Any]:
        from zenml_airflow.runner import run_steps

        result = run_steps(request, run_context, code_cache=settings.state_dir / "code")
        return result.model_dump(mode="json")
