"""The section of the report on parsing."""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks.markdown import table
from benchmarks.stats import Summary, ratios

LABELS = {"empty": "empty", "five_tasks": "five tasks that do nothing", "manifest": "a pipeline of five steps"}
PARTS = {
    "imports": "import this project's modules",
    "settings": "read the settings",
    "manifest": "read, check and plan the manifest",
    "operators": "make the operators",
    "serialization": "serialize the DAG",
    "rest": "the rest: Airflow's own work on a file",
}


def parse(measured: dict[str, Any]) -> str:
    """What a manifest costs when its DAG file is parsed."""
    forked, fresh = measured["forked_ms"], measured["fresh_ms"]
    walls = {kind: [sample["parse"] for sample in samples] for kind, samples in forked.items()}
    rows = [
        (LABELS[kind], Summary.of(values).show(0), ratios(values, walls["empty"]).show(2))
        for kind, values in walls.items()
    ]
    new = [
        (LABELS[kind], Summary.of(values).show(0), ratios(values, fresh["empty"]).show(2))
        for kind, values in fresh.items()
    ]
    parts = [
        (told, *(f"{median(sample.get(part, 0.0) for sample in forked[kind]):.1f}" for kind in LABELS))
        for part, told in PARTS.items()
    ]
    bundles = sorted(measured["bundles_ms"], key=int)
    flat = [(count, Summary.of(measured["bundles_ms"][count]).show(0)) for count in bundles]
    return "\n\n".join(
        [
            "## Parsing",
            "As Airflow's DAG processor does it: it imports the `airflow.*` modules that a file names, forks, and "
            "parses and serializes in the child. Modules of this project are not among them, so each child "
            "imports them again.",
            table(("DAG file, in a forked child", "ms", "over empty"), rows),
            table(("part, ms", *LABELS.values()), parts),
            "A new interpreter, from its start to its end, as in `airflow dags list` or a test:",
            table(("DAG file, in a fresh process", "ms", "over empty"), new),
            table(("manifests in one bundle", "ms a file"), flat),
        ]
    )
