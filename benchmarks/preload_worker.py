"""``python -m benchmarks.preload_worker deploy|off|on [TASKS]``: fork tasks as the scheduler does.

``deploy`` writes the manifest of a trivial pipeline. The others import what the LocalExecutor's scheduler
imports and, with ``on``, preload; then they fork. Each fork runs the pipeline and waits; once all have run it, the
memory of each is read. Writes ``preload.json`` into the state folder: megabytes, and CPU seconds of each task.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from benchmarks.overhead_worker import deploy, fork, in_child, run_all
from benchmarks.sampling import memory_of
from zenml_airflow.settings.project import Settings
from zenml_mlops.environment.process import enter

STEPS = 1


def main() -> None:
    """Deploy, or fork tasks and measure them."""
    mode = sys.argv[1]
    settings = enter(None)
    manifests = settings.state_dir / "trivial.json"
    if mode == "deploy":
        # In a child: a fork must not share the connections of its parent.
        manifests.parent.mkdir(parents=True, exist_ok=True)
        manifests.write_text(json.dumps(in_child(lambda: deploy(settings, [STEPS]))), encoding="utf-8")
        return
    # As the services are told: the deployment has brought the database up to date.
    os.environ["DISABLE_DATABASE_MIGRATION"] = "True"
    import airflow.executors.local_executor
    import airflow.jobs.scheduler_job_runner  # noqa: F401 - what the process that forks has imported anyway

    from zenml_airflow.runtime.preload import LOCAL_EXECUTOR, preload_if_forking

    started = time.perf_counter()
    if mode == "on" and not preload_if_forking(["airflow", "scheduler"], executor=LOCAL_EXECUTOR):
        raise RuntimeError("Nothing was preloaded: airflow.preload must be on in this environment.")
    seconds = time.perf_counter() - started
    alone = memory_of(os.getpid())
    tasks = _fork(settings, json.loads(manifests.read_text(encoding="utf-8")), int(sys.argv[2]))
    result = {"preload_seconds": seconds, "parent": alone, "tasks": tasks}
    (settings.state_dir / "preload.json").write_text(json.dumps(result), encoding="utf-8")


def _fork(settings: Settings, manifests: dict[str, Any], count: int) -> list[dict[str, float]]:
    """Fork tasks, one after the other, that stay until all are measured; a task's megabytes and CPU seconds."""
    stay_reader, stay_writer = os.pipe()

    def task() -> float:
        os.close(stay_writer)
        run_all(settings, manifests, [STEPS])
        return time.process_time()

    children, spent = [], []
    for _ in range(count):
        # The reading ends when this process closes its side, or dies.
        child, answer = fork(task, lambda: os.read(stay_reader, 1))
        if not answer:
            raise RuntimeError("A task failed: see above.")
        children.append(child)
        spent.append(float(answer))
    measured = [{**memory_of(child), "cpu": cpu} for child, cpu in zip(children, spent, strict=True)]
    os.close(stay_writer)
    for child in children:
        os.waitpid(child, 0)
    return measured


if __name__ == "__main__":
    main()
