"""Who races: one line a contender, one DAG file each in ``benchmarks/dags/``."""

from __future__ import annotations

from dataclasses import dataclass

ACTIVE_RUNS = 4
"""Runs of a backfill at once."""


@dataclass(frozen=True)
class Contender:
    """One way to run the daily batch inference under Airflow.

    Attributes:
        name: Name on the command line and in the results; its DAG is ``bench_<name>``.
        label: What it is, for the report.
        slow: Whether a day costs so much that the backfill covers fewer days.
        plain: Whether it runs without ZenML and writes below a root of its own.
    """

    name: str
    label: str
    slow: bool = False
    plain: bool = False

    @property
    def dag_id(self) -> str:
        """The Airflow DAG."""
        return f"bench_{self.name}"


CONTENDERS = (
    Contender("stock", "stock ZenML orchestrator: a fresh interpreter a step", slow=True),
    Contender("subprocess", "`subprocess` launcher, `per_step`", slow=True),
    Contender("subprocess_pipeline", "`subprocess` launcher, `pipeline`", slow=True),
    Contender("per_step", "`in_process` launcher, `per_step`"),
    Contender("grouped", "`in_process` launcher, `grouped`"),
    Contender("pipeline", "`in_process` launcher, `pipeline`"),
    Contender("plain", "plain Airflow without ZenML, five tasks", plain=True),
    Contender("plain_one", "plain Airflow without ZenML, one task", plain=True),
)


QUICK = frozenset({"stock", "per_step", "pipeline", "plain"})
"""Contenders of a quick run: those that the targets are about."""


def choose(names: str, *, quick: bool) -> list[Contender]:
    """The contenders that a comma-separated list names; ``all`` means those of the kind of run.

    Raises:
        ValueError: If a name is unknown; the message lists the known ones.
    """
    if names == "all":
        return [one for one in CONTENDERS if one.name in QUICK or not quick]
    wanted = [name.strip() for name in names.split(",")]
    known = {one.name: one for one in CONTENDERS}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ValueError(f"No contender {unknown}. Known: {list(known)}.")
    return [known[name] for name in wanted]
