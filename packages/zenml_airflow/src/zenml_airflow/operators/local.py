"""The operators that run steps of a ZenML pipeline on the worker's machine.

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
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zenml_airflow.contracts.enums import Launcher
from zenml_airflow.manifest.launchers import SubprocessOptions
from zenml_airflow.operators.processes import describe_exit, server_environment, step_environment
from zenml_airflow.operators.steps import LaunchError, ZenMLSteps

if TYPE_CHECKING:
    from airflow.sdk import Context

SILENCE_SECONDS = 5.0
"""How long the output of ended steps is still waited for, after its last line."""


class ZenMLInProcessOperator(ZenMLSteps):
    """Runs steps in the process that Airflow's worker forked for the task."""

    launcher = Launcher.IN_PROCESS

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the steps and return what ZenML recorded: run id, statuses, small metadata."""
        from zenml_airflow.runtime.runner import run_steps
        from zenml_airflow.runtime.stopping import ending_with_parent, never_ending_well_too_early

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
        from zenml_airflow.runtime.stopping import request_stop

        request_stop("Airflow stopped the task: marked failed or success, cleared while running, or shut down")


class ZenMLSubprocessOperator(ZenMLSteps):
    """Runs steps in another interpreter or virtual environment on the worker's machine."""

    launcher = Launcher.SUBPROCESS

    def __init__(self, *, options: SubprocessOptions, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.python = options.python
        self.stop_grace_seconds = options.stop_grace_seconds
        self._child: subprocess.Popen[str] | None = None
        self._lines = 0

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the steps and return what ZenML recorded: run id, statuses, small metadata.

        Raises:
            LaunchError: If the interpreter is missing or the process ended badly.
        """
        from zenml_airflow.runtime.stopping import ending_with_parent

        request, run_context, settings = self.describe_run(context)
        with ending_with_parent(), tempfile.TemporaryDirectory(prefix="zenml-steps-") as folder:
            result = Path(folder) / "result.json"
            command = [
                *(str(self._interpreter()), "-m", "zenml_airflow.runtime.entrypoint", "--end-with-parent"),
                *("--result", str(result), "--code-cache", str(settings.state_dir / "code")),
            ]
            server = server_environment(self.zenml_conn_id, settings.state_dir)
            told = {**self.variables(request, run_context), **server}
            code = self._run(command, {**step_environment(), **told}, folder)
            found = _recorded(result)
            if code and found is None:
                raise LaunchError(f"The steps' process ended with {describe_exit(code)}: see the log above.")
            if code:
                # Native libraries may abort a process that has nothing left to do but to end.
                self.log.warning("The steps are done; their process then exited with %s.", describe_exit(code))
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
            self._read_to_the_end(reader)
            self._child = None

    def _wait_for_end(self, child: subprocess.Popen[str]) -> None:
        try:
            child.wait(timeout=self.stop_grace_seconds)
        except subprocess.TimeoutExpired:
            self.log.warning(
                "The steps' process did not exit within %s s and was killed.", self.stop_grace_seconds
            )

    def _log_lines(self, output: Iterable[str]) -> None:
        from zenml_airflow.runtime.entrypoint import RESULT_MARK

        for line in output:
            self._lines += 1
            if not line.startswith(RESULT_MARK):
                self.log.info("%s", line.rstrip())

    def _read_to_the_end(self, reader: threading.Thread) -> None:
        """Wait for the output's end; where something left the group and holds it open, for a silence."""
        read = -1
        while reader.is_alive() and read != self._lines:
            read = self._lines
            reader.join(timeout=SILENCE_SECONDS)

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


def _recorded(result: Path) -> dict[str, Any] | None:
    """What a steps' process says at its very end; ``None`` where it did not come to that."""
    try:
        found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found
