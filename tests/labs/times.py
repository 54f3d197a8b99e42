"""How long each suite took, beside what it may take: a report, and never a failure."""

from __future__ import annotations

import fcntl
import json
import os
import tomllib
from collections import defaultdict
from pathlib import Path

BUDGET = Path(__file__).resolve().parents[1] / "budget.toml"
KEPT_ENV = "TESTS_TIMES"
"""A file in which the runs of one CI run add up."""


def suite_of(nodeid):
    """A suite is a folder below tests/."""
    parts = nodeid.split("::", 1)[0].split("/")
    return "/".join(parts[1:-1]) or parts[0]


def seconds(reports):
    """Seconds by suite: set-up, calls and tear-down of its tests, whichever worker ran them."""
    found = defaultdict(float)
    for report in reports:
        found[suite_of(report.nodeid)] += report.duration
    return found


def kept(found):
    """What was measured, with what earlier runs left in the file, which has both afterwards."""
    if not os.environ.get(KEPT_ENV):
        return dict(found)
    with Path(os.environ[KEPT_ENV]).open("a+") as file:
        # Two suites may end at the same time.
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        together = json.loads(file.read() or "{}")
        for suite, spent in found.items():
            together[suite] = together.get(suite, 0.0) + spent
        file.truncate(0)
        file.write(json.dumps(together))
    return together


def lines(found, budget=None):
    """A line for each suite, the dearest first."""
    if budget is None:
        budget = tomllib.loads(BUDGET.read_text())["seconds"] if BUDGET.is_file() else {}
    for suite, spent in sorted(found.items(), key=lambda item: -item[1]):
        limit = budget.get(suite)
        told = "no budget" if limit is None else f"of {limit:4.0f}"
        yield f"{spent:7.1f} s {told}  {suite}{'  OVER' if limit is not None and spent > limit else ''}"
