"""``python -m benchmarks.parse_worker BUNDLE [--fresh]``: parse DAG files as Airflow's DAG processor does.

Reads ``{kind: [file, ...]}`` as JSON from stdin; prints, as JSON, milliseconds for each file:

* ``parse``: in the child, from its first to its last line, and below it the parts that it consists of;
* ``total``: in the parent, from before the fork until the child has ended.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from itertools import zip_longest
from pathlib import Path
from typing import Any

from benchmarks.stopwatch import Stopwatch

PROJECT_MODULES = ("zenml_airflow.dags", "zenml_airflow.task_group")


def main() -> None:
    """Parse the files and print how long each took."""
    bundle, fresh = Path(sys.argv[1]), "--fresh" in sys.argv
    request: dict[str, list[str]] = json.load(sys.stdin)
    if fresh:
        _parse(request["fresh"][0], bundle)
        sys.stdout.write("{}\n")
        return
    import airflow.dag_processing.manager  # noqa: F401 - what the processor has imported when it forks

    measured: dict[str, list[dict[str, float]]] = {kind: [] for kind in request}
    # In turns, so that drift of the machine hits all kinds alike.
    for row in zip_longest(*request.values()):
        for kind, file in zip(request, row, strict=True):
            if file is not None:
                measured[kind].append(_in_fork(file, bundle))
    sys.stdout.write(json.dumps(measured) + "\n")


def _in_fork(file: str, bundle: Path) -> dict[str, float]:
    from airflow.dag_processing.processor import _pre_import_airflow_modules

    _pre_import_airflow_modules(file, _log())
    reader, writer = os.pipe()
    started = time.perf_counter()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.write(writer, json.dumps(_timed(file, bundle)).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    if status or not answer:
        raise RuntimeError(f"Parsing {Path(file).name} failed: see above.")
    return {**json.loads(answer), "total": 1000 * (time.perf_counter() - started)}


def _timed(file: str, bundle: Path) -> dict[str, float]:
    """Parse a file; milliseconds in all and by part."""
    import airflow.dag_processing.processor as processor

    watch = Stopwatch()
    started = time.perf_counter()
    if "zenml_airflow" in Path(file).read_text(encoding="utf-8"):
        with watch.part("imports"):
            dags, task_group = (importlib.import_module(module) for module in PROJECT_MODULES)
        watch.wrap(dags, "load_settings", "settings")
        watch.wrap(task_group, "read_manifest", "manifest")
        watch.wrap(task_group, "_check_current", "manifest")
        watch.wrap(task_group, "plan_tasks", "manifest")
        watch.wrap(task_group, "_operator", "operators")
    watch.wrap(processor, "_serialize_dags", "serialization")
    _parse(file, bundle)
    parts = {part: 1000 * spent for part, spent in watch.read()["seconds"].items()}
    return {"parse": 1000 * (time.perf_counter() - started), **parts}


def _parse(file: str, bundle: Path) -> None:
    """Parse and serialize a file with the function that the DAG processor's child calls.

    Raises:
        RuntimeError: If the file has import errors.
    """
    from airflow.dag_processing.processor import DagFileParseRequest, _parse_file

    request = DagFileParseRequest(file=file, bundle_path=bundle, bundle_name="dags", callback_requests=[])
    result = _parse_file(request, _log())
    if result is None or result.import_errors or not result.serialized_dags:
        raise RuntimeError(f"{Path(file).name} does not parse: {result and result.import_errors}")


def _log() -> Any:
    import structlog

    return structlog.get_logger()


if __name__ == "__main__":
    main()
