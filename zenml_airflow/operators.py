"""The operators that run steps of a ZenML pipeline as an Airflow task, one for each launcher.

Parsing a DAG file imports this module, so ZenML and the ML stack are imported only when a task executes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from zenml_airflow.context import CONTEXT_ENV, SHARD_COUNTS, RunContext
from zenml_airflow.enums import Launcher
from zenml_airflow.guards import TaskStart, ask_guards
from zenml_airflow.launchers import SubprocessOptions
from zenml_airflow.links import MLflowRunLink, ZenMLRunLink
from zenml_airflow.settings import load_settings
from zenml_airflow.shards import shards_key

if TYPE_CHECKING:
    from airflow.sdk import Context

    from zenml_airflow.manifest import PolicyVerdict
    from zenml_airflow.runner import StepsRequest
    from zenml_airflow.settings import Settings

DATE_PARAM = "date"
"""DAG run param that names the day of a run without a logical date."""

PREVIEW_LIMIT = 4000
"""Characters of metadata that an XCom carries; the rest stays in ZenML."""


class RunDateError(ValueError):
    """The day that a run is for cannot be told."""


class LaunchError(RuntimeError):
    """The process or container of a task ended without a record of success."""


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


class ZenMLSteps(BaseOperator):
    """What the operators of all launchers have in common: which steps, of which snapshot, for which run.

    Args:
        group_id: The task group that places the pipeline.
        pipeline: Name of the pipeline.
        snapshot_id: The ZenML snapshot.
        code_digest: sha256 of the code archive that the steps run from.
        steps: Invocation ids in topological order.
        placed: All steps that the task group places.
        environment_name: Name of the environment.
        zenml_conn_id: Airflow connection of the ZenML server; ``None`` for the local store.
        stack_name: Name of the stack that the snapshot was compiled on.
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

    def describe_run(self, context: Context) -> tuple[StepsRequest, RunContext, Settings]:
        """What to run, for which run, in which environment; says so in the log.

        Raises:
            AirflowFailException: If a guard refuses the task; trying again would change nothing.
        """
        from zenml_airflow.runner import StepsRequest

        try:
            ask_guards(self.start)
        except Exception as refusal:
            raise AirflowFailException(str(refusal)) from refusal
        settings = load_settings(self.environment_name)
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
        self.log.info("%s: steps %s for %s", self.pipeline, self.steps, run_context.partition_date)
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
        """Variables that tell ``zenml_airflow.entrypoint`` what to run; none is a secret."""
        from zenml_airflow.entrypoint import REQUEST_ENV

        return {REQUEST_ENV: request.model_dump_json(), CONTEXT_ENV: run_context.model_dump_json()}

    def finish(self, context: Context, result: Mapping[str, Any] | None) -> dict[str, Any]:
        """Check that every step left a record of success, and hand it on: to the XCom and to asset events.

        Raises:
            LaunchError: If a step left none: nothing is green by default.
        """
        recorded = dict(result or {})
        missing = [name for name in self.steps if name not in recorded.get("steps", {})]
        if missing:
            raise LaunchError(f"The task ended without a record of {missing}: see the log above.")
        for step, count in recorded.get("metadata", {}).get(SHARD_COUNTS, {}).items():
            context["ti"].xcom_push(key=shards_key(step), value=count)
        recorded["metadata"] = _small(recorded.get("metadata", {}))
        event = {"zenml_run_id": recorded["run_id"], **recorded["metadata"]}
        for outlet in self.outlets or []:
            context["outlet_events"][outlet].extra = event
        self.recorded = recorded
        return recorded

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Lineage of the task, for the OpenLineage provider where it is active."""
        from zenml_airflow.lineage import get_openlineage_facets_on_complete

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


class ZenMLInProcessOperator(ZenMLSteps):
    """Runs steps in the process that Airflow's worker forked for the task."""

    launcher = Launcher.IN_PROCESS

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the steps and return what ZenML recorded: run id, statuses, small metadata."""
        from zenml_airflow.runner import run_steps
        from zenml_airflow.stopping import ending_with_parent, never_ending_well_too_early

        request, run_context, settings = self.describe_run(context)
        os.environ.update(server_environment(self.zenml_conn_id, settings.state_dir))
        try:
            with ending_with_parent(), never_ending_well_too_early():
                result = run_steps(request, run_context, code_cache=settings.state_dir / "code")
        except Exception as error:
            self.recorded = {"links": getattr(error, "zenml_links", {})}
            raise
        return self.finish(context, result.model_dump(mode="json"))

    def on_kill(self) -> None:
        """Have ZenML record that the steps were stopped, and end them."""
        from zenml_airflow.stopping import request_stop

        request_stop("Airflow stopped the task: marked failed or success, cleared while running, or shut down")


class ZenMLSubprocessOperator(ZenMLSteps):
    """Runs steps in another interpreter or virtual environment on the worker's machine.

    Args:
        options: Options of the launcher.
    """

    launcher = Launcher.SUBPROCESS

    def __init__(self, *, options: SubprocessOptions, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.python = options.python
        self.stop_grace_seconds = options.stop_grace_seconds
        self._child: subprocess.Popen[str] | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the steps and return what ZenML recorded: run id, statuses, small metadata.

        Raises:
            LaunchError: If the interpreter is missing or the process ended badly.
        """
        from zenml_airflow.stopping import ending_with_parent

        request, run_context, settings = self.describe_run(context)
        with ending_with_parent(), tempfile.TemporaryDirectory(prefix="zenml-steps-") as folder:
            result = Path(folder) / "result.json"
            command = [
                *(str(self._interpreter()), "-m", "zenml_airflow.entrypoint", "--end-with-parent"),
                *("--result", str(result), "--code-cache", str(settings.state_dir / "code")),
            ]
            server = server_environment(self.zenml_conn_id, settings.state_dir)
            told = {**self.variables(request, run_context), **server}
            code = self._run(command, {**step_environment(), **told}, folder)
            if code:
                raise LaunchError(f"The steps' process ended with {describe_exit(code)}: see the log above.")
            found = json.loads(result.read_text(encoding="utf-8")) if result.is_file() else None
            return self.finish(context, found)

    def _interpreter(self) -> Path:
        path = Path(self.python or sys.executable)
        if path.is_dir():
            path = path / "bin" / "python"
        if not path.is_file():
            raise LaunchError(
                f"No interpreter at {path}: airflow.launcher_options.subprocess.python names a Python or the "
                "folder of a virtual environment on the worker's machine."
            )
        return path

    def _run(self, command: list[str], environment: dict[str, str], folder: str) -> int:
        """Run a command in a process group of its own, its output in the task's log; return its exit code."""
        self._child = child = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        reader = threading.Thread(target=self._log_lines, args=(child.stdout or (),), daemon=True)
        reader.start()
        try:
            return child.wait()
        except BaseException:
            # A timeout: the step fails, as it does in the worker's own process.
            self._signal_group(signal.SIGINT)
            self._wait_for_end(child)
            raise
        finally:
            # Whatever the steps left running goes with them.
            self._signal_group(signal.SIGKILL)
            reader.join(timeout=5)
            self._child = None

    def _wait_for_end(self, child: subprocess.Popen[str]) -> None:
        try:
            child.wait(timeout=self.stop_grace_seconds)
        except subprocess.TimeoutExpired:
            self.log.warning("The steps' process did not end in %s s: killed.", self.stop_grace_seconds)

    def _log_lines(self, output: Iterable[str]) -> None:
        from zenml_airflow.entrypoint import RESULT_MARK

        for line in output:
            if not line.startswith(RESULT_MARK):
                self.log.info("%s", line.rstrip())

    def _signal_group(self, number: signal.Signals) -> None:
        if self._child is None:
            return
        try:
            os.killpg(self._child.pid, number)
        except (ProcessLookupError, PermissionError):
            return

    def on_kill(self) -> None:
        """Send the steps' process group SIGTERM and, a little later, SIGKILL."""
        if self._child is None:
            return
        self._signal_group(signal.SIGTERM)
        killer = threading.Timer(self.stop_grace_seconds, self._signal_group, (signal.SIGKILL,))
        killer.daemon = True
        killer.start()


def server_environment(zenml_conn_id: str | None, state_dir: Path | None = None) -> dict[str, str]:
    """Variables that point ZenML at the server of a connection; none for the local store.

    Args:
        zenml_conn_id: The connection.
        state_dir: Where the worker itself runs the steps, the environment's state folder: ZenML writes the
            server's address into its configuration, which must not be the one that names the local store.
    """
    if zenml_conn_id is None:
        return {}
    from zenml_airflow.hooks import ZenMLHook

    own = {"ZENML_CONFIG_PATH": str(state_dir / f"zenml-{zenml_conn_id}")} if state_dir else {}
    return {**ZenMLHook(zenml_conn_id).get_environment(), **own}


def step_environment() -> dict[str, str]:
    """Variables of the worker without Airflow's own: a step needs no key of Airflow's, and must not have one."""
    return {key: value for key, value in os.environ.items() if not key.lstrip("_").startswith("AIRFLOW")}


def describe_exit(code: int) -> str:
    """Say what an exit code means."""
    if code < 0:
        return f"signal {signal.Signals(-code).name}"
    if code > 128 and code - 128 in {signal.SIGTERM, signal.SIGKILL}:
        return f"signal {signal.Signals(code - 128).name}"
    return f"exit code {code}"
