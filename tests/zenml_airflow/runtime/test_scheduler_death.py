"""No worker of the LocalExecutor, and no task of it, outlives a scheduler that was killed."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from zenml_airflow.runtime.stopping import end_workers_with_scheduler

SCHEDULER = """
import os, signal, sys, time
from zenml_airflow.runtime.stopping import end_workers_with_scheduler
if sys.argv[1] == "asked":
    assert end_workers_with_scheduler(["airflow", "scheduler"], executor="LocalExecutor")
if sys.argv[2] == "handling":
    # As Airflow's scheduler, whose handler leaves its children alone; the task's process has its own.
    signal.signal(signal.SIGTERM, lambda *_: None)
if os.fork() == 0:
    worker = os.getpid()
    if os.fork() == 0:
        print(worker, os.getpid(), flush=True)
    time.sleep(60)
time.sleep(60)
"""


def alive(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def killed(mode, handler):
    """What is left of a worker and its task after their scheduler was killed."""
    with subprocess.Popen(
        [sys.executable, "-c", SCHEDULER, mode, handler], stdout=subprocess.PIPE, text=True
    ) as scheduler:
        forks = [psutil.Process(int(pid)) for pid in scheduler.stdout.readline().split()]
        scheduler.kill()
        scheduler.wait(timeout=10)
        deadline = time.monotonic() + (10 if mode == "asked" else 0.5)
        while (left := [fork for fork in forks if alive(fork)]) and time.monotonic() < deadline:
            time.sleep(0.02)
        for fork in left:
            os.kill(fork.pid, signal.SIGKILL)
    return left


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux is asked")
@pytest.mark.parametrize("handler", ["handling", "default"])
@pytest.mark.parametrize(("mode", "count"), [("asked", 0), ("not asked", 2)])
def test_workers_and_tasks_end_with_the_scheduler(mode, count, handler):
    """A worker that Airflow starts later inherits the handler of SIGTERM that its scheduler has set meanwhile."""
    assert len(killed(mode, handler)) == count


@pytest.mark.parametrize(
    ("command", "executor"),
    [
        (["airflow", "scheduler"], "CeleryExecutor"),
        (["airflow", "celery", "worker"], "CeleryExecutor"),
        (["airflow", "dag-processor"], "LocalExecutor"),
        (["airflow"], "LocalExecutor"),
    ],
)
def test_other_processes_are_left_alone(command, executor):
    assert end_workers_with_scheduler(command, executor=executor) is False
