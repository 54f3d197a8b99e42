"""``python -m benchmarks``: measure, then write numbers, report and plot."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.arena import Progress, arena, isolate, state_folder
from benchmarks.contenders import CONTENDERS, Contender, choose
from benchmarks.results import JSON_FILE, Results
from zenml_mlops.interrupts import terminable

HERE = Path(__file__).resolve().parent
QUICK_ROUNDS = 2
PARSE_SAMPLES = 20
QUICK_PARSE_SAMPLES = 5
console = Console(soft_wrap=True)
app = typer.Typer(rich_markup_mode="markdown", add_completion=False, pretty_exceptions_enable=False)


class Benchmark(StrEnum):
    """The benchmarks."""

    INFERENCE = "inference"
    BACKFILL = "backfill"
    PARSE = "parse"
    OVERHEAD = "overhead"
    PRELOAD = "preload"
    POLICIES = "policies"
    SERVING = "serving"


@app.command()
def run(
    only: Annotated[
        list[Benchmark] | None, typer.Option("--only", help="One benchmark; may be repeated. All by default.")
    ] = None,
    contenders: Annotated[
        str,
        typer.Option(
            help="Contenders of `inference` and `backfill`, comma-separated. Known: "
            + ", ".join(one.name for one in CONTENDERS)
        ),
    ] = "all",
    n: Annotated[int, typer.Option("--n", min=1, help="Rounds that count, after one to warm up.")] = 5,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer rounds, days and contenders, in minutes; the report says so.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder of results.json, results.md and results.png.")] = HERE,
    state: Annotated[
        Path | None,
        typer.Option(help="State folder to keep, so that the next run need not prepare; temporary by default."),
    ] = None,
    render: Annotated[
        bool, typer.Option("--render", help="Only write the report again, from results.json.")
    ] = False,
) -> None:
    """Measure this project against stock ZenML on Airflow and against Airflow without ZenML.

    * **inference**: one day, five steps, through a real scheduler, the contenders in turns.
    * **backfill**: thirty days, four runs at once: days a minute, CPU, memory.
    * **parse**: what a manifest adds to a DAG file, and whether 200 of them stay cheap.
    * **overhead**: what ZenML adds to a step in a warm process, and from 1 to 20 steps.
    * **preload**: what preloading saves a task, and the memory of a further task.
    * **policies**: how long the deploy-time policies take for fifty pipelines.
    * **serving**: requests to the service beside the bare model.

    Everything happens in a temporary folder, on free ports, on loopback. It takes about 50 minutes on two cores
    that do nothing else; other work on the machine shows in the numbers. A benchmark that runs alone replaces its
    own part of the results and keeps the others of the same machine and versions.

    For example: `python -m benchmarks --quick`, or `python -m benchmarks --only parse`, or
    `python -m benchmarks --only inference --contenders pipeline,plain --n 3 --out /tmp/bench`
    """
    try:
        chosen = choose(contenders, quick=quick)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--contenders") from error
    wanted = only or list(Benchmark)
    results = Results.load(out)
    if render and not results.benchmarks:
        raise typer.BadParameter(f"No {JSON_FILE} in {out}: measure first.", param_hint="--render")
    if not render:
        started = time.monotonic()
        with _sentences(), terminable(), state_folder(state) as folder:
            isolate(folder)
            rounds = QUICK_ROUNDS if quick else n
            # Closing ends the services, whatever happens between two benchmarks.
            with closing(_measure(wanted, chosen, rounds, quick=quick)) as benchmarks:
                for name, measured in benchmarks:
                    results.add(name, measured)
                    # At once: what is measured stays, should a later benchmark fail.
                    results.write(out)
        console.print(f"measured in {(time.monotonic() - started) / 60:.0f} min")
    for path in results.write(out):
        console.print(f"wrote {path.name}")


def _measure(
    wanted: list[Benchmark], chosen: list[Contender], n: int, *, quick: bool
) -> Generator[tuple[Benchmark, dict[str, Any]], None, None]:
    """Run the wanted benchmarks; those without services first, on a machine that does nothing else."""
    if Benchmark.PARSE in wanted:
        from benchmarks import parse

        samples = QUICK_PARSE_SAMPLES if quick else max(n, PARSE_SAMPLES)
        yield Benchmark.PARSE, parse.measure(samples, quick=quick, progress=_said("parse"))
    if Benchmark.OVERHEAD in wanted:
        from benchmarks import overhead

        yield Benchmark.OVERHEAD, overhead.measure(n, quick=quick, progress=_said("overhead"))
    if Benchmark.PRELOAD in wanted:
        from benchmarks import preload

        yield Benchmark.PRELOAD, preload.measure(n, quick=quick, progress=_said("preload"))
    if Benchmark.POLICIES in wanted:
        from benchmarks import policies

        yield Benchmark.POLICIES, policies.measure(n, quick=quick, progress=_said("policies"))
    if Benchmark.SERVING in wanted:
        from benchmarks import serving

        yield Benchmark.SERVING, serving.measure(n, quick=quick, progress=_said("serving"))
    if not {Benchmark.INFERENCE, Benchmark.BACKFILL} & set(wanted):
        return
    with arena(chosen, _said("prepare")) as ready:
        if Benchmark.INFERENCE in wanted:
            from benchmarks import inference

            measured = inference.measure(ready, chosen, n=n, quick=quick, progress=_said("inference"))
            yield Benchmark.INFERENCE, measured
        if Benchmark.BACKFILL in wanted:
            from benchmarks import backfill

            yield Benchmark.BACKFILL, backfill.measure(ready, chosen, quick=quick, progress=_said("backfill"))


@contextmanager
def _sentences() -> Iterator[None]:
    """End with one sentence where a benchmark cannot go on."""
    try:
        yield
    except KeyboardInterrupt:
        console.print("Interrupted; the services are stopped.")
        raise typer.Exit(130) from None
    except RuntimeError as error:
        console.print(f"Error: {error}", markup=False, highlight=False)
        raise typer.Exit(1) from error


def _said(benchmark: str) -> Progress:
    def progress(text: str) -> None:
        console.print(f"[bold]{benchmark}[/bold]  {text}", highlight=False)

    return progress


if __name__ == "__main__":
    app()
