"""Find what was recorded already, so that work which is resumed records nothing twice."""

from __future__ import annotations

import json
from collections.abc import Mapping

from zenml_mlops.audit.entries import Head, Outcome, parse_entry
from zenml_mlops.audit.log import configured_log


def recorded_head(outcome: Outcome, links: Mapping[str, str]) -> Head | None:
    """The head of the log as the first entry with an outcome and these links left it; ``None`` without one.

    A process that died between an entry and what follows it has left the entry.
    """
    log = configured_log()
    if log is None:
        return None
    needles = [json.dumps(value)[1:-1].encode("ascii") for value in links.values()]
    for line in log.lines():
        if line.endswith(b"\n") and all(needle in line for needle in needles):
            entry = parse_entry(line[:-1])
            if entry.outcome is outcome and links.items() <= entry.links.items():
                return entry.head
    return None
