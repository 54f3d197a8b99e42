"""The rows of the state table, what was observed for each, and the document made of it."""

from dataclasses import dataclass
from enum import StrEnum


class Row(StrEnum):
    """What happens to a run, in the operator's words."""

    FIRST_RUN = "first run, all good"
    RAISES = "a step raises, and its retries are used up"
    RETRY = "a step raises once: automatic retry"
    CLEAR_RUN = "clear a successful run"
    CLEAR_STEP = "clear one step and downstream"
    MARK_FAILED = "mark failed while running"
    CLEAR_RUNNING = "clear a task while it runs"
    KILL_TASK = "`kill -9` of the task's process, its partition half written"
    KILL_WORKER = "`kill -9` of the worker in the middle of a step"
    KILL_SCHEDULER = "`kill -9` of the scheduler in the middle of a step"
    TWO_AT_ONCE = "two DAG runs at once"
    FOUR_AT_ONCE = "four DAG runs at once"
    REDEPLOY = "another version deployed while a run is in flight"
    UNREPORTED = "a step succeeds, its task dies before reporting"
    NO_RECORD = "a process ends well without a record of its step"
    PAUSE = "pause, then unpause"


LAUNCHERS = ("in_process", "subprocess")
GRANULARITIES = ("per_step", "grouped", "pipeline")
ALL_COMBINATIONS = [f"{launcher}_{granularity}" for launcher in LAUNCHERS for granularity in GRANULARITIES]
ENDS = ("in_process_per_step", "in_process_pipeline", "subprocess_grouped", "subprocess_pipeline")
"""How a process ends, and how one is ended, is the launcher's; how many steps it had is not."""
IDENTITIES = ("in_process_per_step", "subprocess_pipeline")
"""Which run a step belongs to, and which code it runs, is one piece of code for all; the launchers begin it."""
PLAYED = {row: tuple(ALL_COMBINATIONS) for row in Row} | {
    Row.RAISES: ENDS,
    Row.UNREPORTED: ENDS,
    Row.NO_RECORD: ENDS,
    Row.MARK_FAILED: ENDS,
    Row.CLEAR_RUNNING: ENDS,
    Row.KILL_WORKER: ENDS,
    Row.KILL_SCHEDULER: ENDS,
    Row.TWO_AT_ONCE: IDENTITIES,
    Row.FOUR_AT_ONCE: IDENTITIES,
    Row.REDEPLOY: IDENTITIES,
    # Nothing but Airflow's own schedule.
    Row.PAUSE: ("in_process_pipeline",),
}
"""The combinations that a row is played with: all, or those that stand for all where it makes no difference."""


@dataclass(frozen=True)
class Seen:
    """What the three records said afterwards."""

    airflow: str
    zenml: str
    data: str


HEAD = """# State semantics

What Airflow, ZenML and the data say after each thing that can happen to a run. The table is written by the
conformance suite from what it saw on a real Airflow (API server, scheduler with the LocalExecutor, dag processor,
triggerer) with a five-step probe pipeline; `make test-conformance` fails if this page says something else.

Read a line as: *this happened, with these launchers and granularities; afterwards the three records said this*.
Where the launcher or the granularity makes no difference, the row is played with those named, which stand for all.
One ZenML run belongs to one attempt of one DAG run. A clear begins a new attempt, and a new ZenML run linked to
the one that it replaces. A retry stays in the attempt: it goes on in the same ZenML run or, where ZenML had
recorded that one as stopped, in a linked new one. Steps that an attempt does not run again are `cached`: their
outputs are those of the attempt that ran them.

`mlops reconcile`, and the DAG `zenml_maintenance` every quarter of an hour, close ZenML runs whose Airflow run has
ended: a process that was killed outright cannot do it itself. Nor can one that was asked to stop and did not get
to it in the five seconds that Airflow leaves it, on a starved machine: its run says `stopping` until then, or
until the next try of the task.

| what happened | launcher, granularity | Airflow | ZenML | data |
|---|---|---|---|---|
"""


def render(seen: dict[Row, dict[str, Seen]], combinations: list[str]) -> str:
    """The document; combinations that saw the same share a line."""
    lines = []
    for row in Row:
        groups: dict[Seen, list[str]] = {}
        for combination in (name for name in combinations if name in seen[row]):
            groups.setdefault(seen[row][combination], []).append(combination)
        for found, names in groups.items():
            listed = ", ".join(_pretty(name) for name in names)
            if len(names) == len(combinations):
                listed = "all"
            elif len(groups) == 1:
                listed = f"all, played with {listed}"
            lines.append(f"| {row.value} | {listed} | {found.airflow} | {found.zenml} | {found.data} |")
    return HEAD + "\n".join(lines) + "\n"


def undocumented(seen: dict[Row, dict[str, Seen]], document: str) -> list[str]:
    """What was seen and no line of the document says of that row and that combination."""
    lines = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in document.splitlines()]
    said = {tuple(cells[:1] + cells[2:]): cells[1] for cells in lines if len(cells) == 5}
    missing = []
    for row, by_combination in seen.items():
        for combination, found in by_combination.items():
            who = said.get((row.value, found.airflow, found.zenml, found.data), "")
            if who != "all" and _pretty(combination) not in who:
                missing.append(f"{row.value}, {combination}: {found}")
    return missing


def _pretty(combination: str) -> str:
    launcher = "in_process" if combination.startswith("in_process") else "subprocess"
    return f"`{launcher}` `{combination.removeprefix(launcher + '_')}`"
