"""The section of the report on policies."""

from __future__ import annotations

from typing import Any

from benchmarks.markdown import table
from benchmarks.stats import Summary

PARTS = (("read", "reading the policy files"), ("describe", "describing the pipelines"), ("judge", "judging them"))


def totals(measured: dict[str, Any]) -> list[float]:
    """Seconds for all pipelines, round by round."""
    return [sum(parts) for parts in zip(*measured["seconds"].values(), strict=True)]


def policies(measured: dict[str, Any]) -> str:
    """Time of the deploy-time policies."""
    rows = [(label, Summary.of([1000 * s for s in measured["seconds"][part]]).show(0)) for part, label in PARTS]
    rows.append(("together", Summary.of([1000 * s for s in totals(measured)]).show(0)))
    return "\n\n".join(
        [
            "## Policies",
            f"{measured['pipelines']} pipelines of the size of `training`, each with its deployment and its "
            f"stack, judged for production: {measured['verdicts']} verdicts.",
            table(("", "milliseconds"), rows),
        ]
    )
