"""The section of the report on the service."""

from __future__ import annotations

from typing import Any

from benchmarks.markdown import table
from benchmarks.stats import Summary, ratios


def serving(measured: dict[str, Any]) -> str:
    """Latency and throughput beside the bare model."""
    rounds = measured["rounds"]
    sizes = list(rounds[0]["bare"])
    bare = [
        (
            f"`predict_proba`, {_rows(int(size))}",
            Summary.of([one["bare"][size] for one in rounds]).show(1),
            Summary.of([1000 / one["bare"][size] for one in rounds]).show(0),
        )
        for size in sizes
    ]
    return "\n\n".join(
        [
            "## Single requests",
            "The service of `mlops serve` in a process of its own, asked over HTTP on loopback; the clients run "
            "on the same cores, which costs the service. The configured model, trained on "
            f"{measured['data']}; each scenario lasts {measured['seconds']:g} s in a round. A client sends its "
            "next request when the last is answered. *Bare* is the model alone, on a data frame in memory, in "
            "turns with the service: what no service can do without. Requests that wait are scored in one call, "
            "so many clients cost less than as many calls.",
            table(("bare", "ms a call", "calls a second"), bare),
            table(
                (
                    "clients, rows a request",
                    "p50, ms",
                    "p99, ms",
                    "requests a second",
                    "p50 over bare",
                    "requests over bare calls",
                ),
                [_row(rounds, number) for number in range(len(rounds[0]["service"]))],
            ),
        ]
    )


def _row(rounds: list[dict[str, Any]], number: int) -> tuple[str, ...]:
    found = [one["service"][number] for one in rounds]
    bare = [one["bare"][str(found[0]["rows"])] for one in rounds]
    rates = [one["per_second"] for one in found]
    clients = found[0]["clients"]
    return (
        f"{clients} client{'s' if clients > 1 else ''}, {_rows(found[0]['rows'])}",
        Summary.of([one["p50"] for one in found]).show(1),
        Summary.of([one["p99"] for one in found]).show(1),
        Summary.of(rates).show(0),
        ratios([one["p50"] for one in found], bare).show(2),
        ratios(rates, [1000 / ms for ms in bare]).show(2),
    )


def _rows(count: int) -> str:
    return f"{count} row{'s' if count > 1 else ''}"
