"""``python -m zenml_airflow.runtime.entrypoint``: run steps in a process or a container that has no Airflow.

The launcher says what to run in two environment variables, both JSON: the request and the run context. What ZenML
recorded is written as JSON to the file that ``--result`` names, and to a marked line of the output.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from contextlib import nullcontext
from pathlib import Path
from types import FrameType

from pydantic import ValidationError

from zenml_airflow.context import CONTEXT_ENV, RunContext
from zenml_airflow.contracts.problems import describe
from zenml_airflow.runtime.preload import collect_rarely
from zenml_airflow.runtime.runner import StepsRequest, run_steps
from zenml_airflow.runtime.stopping import StepsStoppedError, ending_with_parent, request_stop

REQUEST_ENV = "ZENML_AIRFLOW_REQUEST"
"""Environment variable that holds the :class:`~zenml_airflow.runtime.runner.StepsRequest`, as JSON."""

RESULT_MARK = "zenml-airflow-result: "
"""What the line of the output begins with that holds the result."""

STOPPED_EXIT_CODE = 143
"""128 + SIGTERM, as a shell reports a terminated program."""


def main(arguments: list[str] | None = None) -> int:
    """Run the requested steps; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m zenml_airflow.runtime.entrypoint",
        description="Run steps of a deployed ZenML pipeline, as one task of an Airflow DAG run. "
        f"Reads {REQUEST_ENV} and {CONTEXT_ENV}; Airflow's launchers set both.",
    )
    parser.add_argument("--result", type=Path, help="File for what ZenML recorded, as JSON.")
    parser.add_argument("--code-cache", type=Path, required=True, help="Folder of unpacked code archives.")
    parser.add_argument("--end-with-parent", action="store_true", help="Stop if the starting process dies.")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        request = StepsRequest.model_validate_json(os.environ.get(REQUEST_ENV, ""))
        context = RunContext.model_validate_json(os.environ.get(CONTEXT_ENV, ""))
    except ValidationError as error:
        parser.error(f"{REQUEST_ENV} or {CONTEXT_ENV} is missing or wrong: {describe(error, 'value')}")
    signal.signal(signal.SIGTERM, _stop)
    collect_rarely()
    try:
        with ending_with_parent() if options.end_with_parent else nullcontext():
            result = run_steps(request, context, code_cache=options.code_cache)
    except StepsStoppedError as stopped:
        sys.stdout.write(f"{stopped}\n")
        return STOPPED_EXIT_CODE
    payload = result.model_dump_json()
    if options.result:
        options.result.parent.mkdir(parents=True, exist_ok=True)
        options.result.write_text(payload, encoding="utf-8")
    sys.stdout.write(f"{RESULT_MARK}{payload}\n")
    return 0


def _stop(number: int, _: FrameType | None) -> None:
    request_stop(f"the task's process got {signal.Signals(number).name}")


if __name__ == "__main__":
    sys.exit(main())
