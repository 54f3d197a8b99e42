"""Many requests, one model: what waits is scored together."""

from __future__ import annotations

import asyncio
import traceback
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from zenml_mlops.serving.loaded_version import LoadedVersion, Prediction
from zenml_mlops.serving.metrics import Metrics
from zenml_mlops.serving.schema import Row


class OverloadedError(RuntimeError):
    """More rows wait for the model than may."""


class ScoringError(RuntimeError):
    """The model could not score a row that keeps the contract. The message holds no value of it."""


@dataclass(frozen=True)
class _Job:
    version: LoadedVersion
    rows: Sequence[Row]
    answer: asyncio.Future[list[Prediction]]


class Scorer:
    """Scores the rows of all requests, one call of the model at a time.

    A call costs nearly the same for one row as for a hundred: most of it is pandas and scikit-learn looking at the
    frame. So whatever arrived while a call ran goes into the next one together; nothing is held back to wait for
    more. All rows of a call are for one version.
    """

    def __init__(self, most_rows: int, most_waiting_rows: int, metrics: Metrics) -> None:
        self._most_rows, self._most_waiting = most_rows, most_waiting_rows
        self._metrics = metrics
        self._jobs: deque[_Job] = deque()
        self._waiting = 0
        self._worker: asyncio.Task[None] | None = None
        # One thread: the interpreter lock leaves little for a second one.
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scorer")

    async def score(self, version: LoadedVersion, rows: Sequence[Row]) -> list[Prediction]:
        """Score the rows of one request.

        Raises:
            OverloadedError: If too many rows wait; the client should come back later.
            ScoringError: If the model fails.
        """
        if self._jobs and self._waiting + len(rows) > self._most_waiting:
            raise OverloadedError(f"{self._waiting} rows are already waiting for the model.")
        job = _Job(version, rows, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self._count(len(rows))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await job.answer

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown(wait=True)

    async def _work(self) -> None:
        while self._jobs:
            jobs = self._take()
            if len(jobs) == 1 or not await self._answer(jobs):
                for job in jobs:
                    await self._answer([job], last=True)

    def _take(self) -> list[_Job]:
        """The jobs that have waited longest, as many as one call takes and one version answers."""
        taken: list[_Job] = []
        rows = 0
        while self._jobs:
            job = self._jobs[0]
            if taken and (job.version is not taken[0].version or rows + len(job.rows) > self._most_rows):
                break
            self._jobs.popleft()
            self._count(-len(job.rows))
            # A client that has gone away gets no answer, and costs none.
            if not job.answer.done():
                taken.append(job)
                rows += len(job.rows)
        return taken

    async def _answer(self, jobs: Sequence[_Job], *, last: bool = False) -> bool:
        """Score jobs in one call; whether it worked. A row that fails must not take other requests with it."""
        if not jobs:
            return True
        rows = [row for job in jobs for row in job.rows]
        self._metrics.call_rows.observe(len(rows))
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._pool, jobs[0].version.answer, rows)
        except Exception as error:  # noqa: BLE001 - libraries put values into their messages: only the kind goes on
            if last:
                frame = traceback.extract_tb(error.__traceback__)[-1]
                text = f"The model failed with {type(error).__name__} in {frame.name}:{frame.lineno}."
                _settle(jobs[0], ScoringError(text))
            return False
        begin = 0
        for job in jobs:
            _settle(job, found[begin : begin + len(job.rows)])
            begin += len(job.rows)
        return True

    def _count(self, rows: int) -> None:
        self._waiting += rows
        self._metrics.waiting_rows.set(self._waiting)


def _settle(job: _Job, result: list[Prediction] | ScoringError) -> None:
    if job.answer.done():
        return
    if isinstance(result, ScoringError):
        job.answer.set_exception(result)
    else:
        job.answer.set_result(result)
