"""Leaves a mark when its step has run."""

import os
from pathlib import Path

from zenml import pipeline, step

from zenml_mlops.enforcement.run_start import check_run_start

MARK = os.environ["GUARDED_MARK"]


@step(enable_cache=False)
def leave_mark() -> None:
    Path(MARK).touch()


@pipeline(enable_cache=False, on_init=check_run_start)
def guarded() -> None:
    leave_mark()
