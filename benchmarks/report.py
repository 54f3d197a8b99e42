"""The report, written from the numbers and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks import (
    report_overhead,
    report_parse,
    report_policies,
    report_preload,
    report_race,
    report_serving,
)
from benchmarks.markdown import table
from benchmarks.targets import Verdict, judge

Content = dict[str, Any]
SECTIONS = (
    ("inference", report_race.inference),
    ("backfill", report_race.backfill),
    ("parse", report_parse.parse),
    ("overhead", report_overhead.overhead),
    ("preload", report_preload.preload),
    ("policies", report_policies.policies),
    ("serving", report_serving.serving),
)
BUSY = 0.3
"""Load for each core before a benchmark above which something else was running."""


def render(content: Content) -> str:
    """Render the report as Markdown."""
    found = content["benchmarks"]
    parts = ["# Benchmarks", _intro(content), _machine(content["machine"]), _conditions(content)]
    verdicts = judge(found)
    if verdicts:
        parts += ["## Targets", _targets(verdicts)]
    parts.append("![Results](results.png)")
    for name, section in SECTIONS:
        if name in found:
            parts.append(section(found[name]).rstrip())
    return "\n\n".join(part for part in parts if part) + "\n"


def _intro(content: Content) -> str:
    quick = [name for name, measured in content["benchmarks"].items() if measured["quick"]]
    text = (
        "Written by `make bench` from [results.json](results.json). A number is a median, with the least and the "
        "greatest value in brackets; n is how many measurements count."
    )
    if quick:
        text += f"\n\n**Quick run** ({', '.join(quick)}): too few rounds to rely on."
    return text


def _machine(machine: Content) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return table(
        ("machine", ""),
        [
            ("cores", machine["cores"]),
            ("memory", f"{machine['memory_gb']} GB"),
            ("processor", machine["processor"]),
            ("system", machine["system"]),
            ("Python", machine["python"]),
            ("packages", packages),
        ],
    )


def _conditions(content: Content) -> str:
    cores = content["machine"]["cores"]
    rows = []
    for name, measured in content["benchmarks"].items():
        load = measured["load_before"]
        busy = f"{load}: **the machine was busy**" if load > BUSY * cores else load
        rows.append((name, measured["measured"], measured["n"], busy))
    return table(("benchmark", "measured", "n", "load before"), rows) if rows else ""


def _targets(verdicts: Sequence[Verdict]) -> str:
    rows = [
        (one.target, f"{one.sign} {one.limit:g}", one.measured.show(2), "met" if one.met else "**missed**")
        for one in verdicts
    ]
    missed = [f"* {one.target}: {one.explanation}" for one in verdicts if not one.met]
    text = table(("ratio", "target", "measured", ""), rows)
    return text + ("\n\nWhere the time goes in what is missed:\n\n" + "\n".join(missed) if missed else "")
