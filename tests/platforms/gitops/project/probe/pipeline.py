"""first -> second: each writes down its version; the first then waits until the suite lets the run go on."""

import json
import time
from pathlib import Path
from typing import Annotated

from zenml import pipeline, step

from probe.version import VERSION
from zenml_airflow.context import get_run_context

_TASK = {"airflow": {"retries": 0, "timeout_seconds": 300}}


def _write(step_name: str) -> Path:
    context = get_run_context()
    folder = Path(context.storage_root) / "journal" / context.dag_run_id
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{step_name}.json").write_text(
        json.dumps({"version": VERSION, "day": context.partition_date.isoformat()})
    )
    return folder


@step(enable_cache=False, extra=_TASK)
def first() -> Annotated[int, "number"]:
    folder = _write("first")
    params = get_run_context().params
    if params.get("fail"):
        raise RuntimeError("the first step was told to fail")
    while not params.get("go") and not (folder / "go").exists():
        time.sleep(0.1)
    return VERSION


@step(enable_cache=False, extra=_TASK)
def second(number: int) -> Annotated[int, "sum"]:
    _write("second")
    return number + VERSION


@pipeline(name="probe", enable_cache=False)
def probe() -> None:
    second(first())
