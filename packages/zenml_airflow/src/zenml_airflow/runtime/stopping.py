"""How a running task is told to stop, so that ZenML records it and nothing stays half done.

Airflow stops a task with SIGTERM and, 5 s later, with SIGKILL. The signal arrives in the middle of a step, perhaps
in the middle of a database transaction. So the record is written by a thread of its own, with a connection of its
own, and the step is ended by an exception in the main thread, as ZenML itself does it.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from zenml_airflow.runtime.preload import is_forking_scheduler

if TYPE_CHECKING:
    from uuid import UUID

RECORD_SECONDS = 3.0
"""How long the signal handler waits for the record before it ends the step; Airflow kills after 5 s."""

_PR_SET_PDEATHSIG = 1
"""``prctl`` option, from ``linux/prctl.h``."""

log = logging.getLogger(__name__)


class StopRequested(BaseException):
    """Ends a step from a signal handler; no step's ``except Exception`` may swallow it."""


class StepsStoppedError(RuntimeError):
    """The task was stopped from outside, and ZenML knows."""


@dataclass
class Work:
    """What this process is at work on.

    Attributes:
        run_id: The ZenML run, once it is known.
    """

    steps: Sequence[str]
    run_id: UUID | None = None
    stopping: bool = False


_work: Work | None = None


@contextmanager
def stoppable(steps: Sequence[str]) -> Iterator[Work]:
    """Declare what the process is at work on, for :func:`request_stop`."""
    global _work
    _work = Work(steps)
    try:
        yield _work
    finally:
        _work = None


def request_stop(reason: str) -> None:
    """Record that the work of this process is being stopped, and end it. For signal handlers, in the main thread.

    Does nothing while the process works on no step, or if it is stopping already.

    Raises:
        StopRequested: To end the step.
    """
    work = _work
    if work is None or work.stopping:
        return
    work.stopping = True
    if work.run_id is not None:
        recorder = threading.Thread(target=_record, args=(work.run_id, work.steps, reason), daemon=True)
        recorder.start()
        recorder.join(RECORD_SECONDS)
    raise StopRequested(reason)


def _record(run_id: UUID, steps: Sequence[str], reason: str) -> None:
    from zenml_airflow.runtime.records import mark_stopping

    try:
        mark_stopping(run_id, steps, reason)
    except Exception:
        # The step ends all the same; `mlops reconcile` closes the run should this have been the last chance.
        log.exception("Could not report to ZenML that run %s is being stopped.", run_id)


@contextmanager
def never_ending_well_too_early() -> Iterator[None]:
    """Turn an exit with code 0 in the middle of the steps into one with code 1.

    Airflow takes a task's process that ends with 0 and says nothing for a success.
    """
    leave, owner = os._exit, os.getpid()

    def leave_badly(status: int) -> NoReturn:
        leave(1 if status == 0 and os.getpid() == owner else status)

    os._exit = leave_badly
    try:
        yield
    finally:
        os._exit = leave


@contextmanager
def ending_with_parent(number: signal.Signals = signal.SIGTERM) -> Iterator[None]:
    """Have the kernel send this process a signal if its parent dies, so that no step outlives its worker.

    Linux only; elsewhere a step whose worker was killed runs to its end, unseen by Airflow.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    _end_with(os.getppid(), libc, number)
    try:
        yield
    finally:
        libc.prctl(_PR_SET_PDEATHSIG, 0)


def end_workers_with_scheduler(command: Sequence[str], *, executor: str) -> bool:
    """Have the kernel end the LocalExecutor's workers, and through them their tasks, if the scheduler dies.

    Airflow leaves them behind when the scheduler is killed. They hold copies of its database connection, so that
    a transaction that it was in stays open, and its locks with it: the scheduler that follows skips those DAG runs
    for good (Airflow 3.3 with PostgreSQL). Their tasks would run beside the ones that it starts anew. Linux only.

    A worker that Airflow starts in place of a dead one inherits the scheduler's own handler of SIGTERM, which does
    nothing in a child; it gets the default back.

    Returns:
        Whether this is such a scheduler, on Linux.
    """
    if not is_forking_scheduler(command, executor) or not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    scheduler = os.getpid()
    forking: list[int] = []

    def before() -> None:
        forking[:] = [os.getpid()]

    def after() -> None:
        if forking[0] == scheduler:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _end_with(forking[0], libc, signal.SIGTERM)

    os.register_at_fork(before=before, after_in_child=after)
    return True


def _end_with(parent: int, libc: ctypes.CDLL, number: signal.Signals) -> None:
    """Ask the kernel for a signal when the parent dies; raise it if that has happened already."""
    libc.prctl(_PR_SET_PDEATHSIG, int(number))
    if os.getppid() != parent:
        signal.raise_signal(number)
