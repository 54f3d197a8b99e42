"""``mlops data``: bring the source data in, and replay it as daily partitions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from zenml_mlops.cli.options import Environment, day_option, group
from zenml_mlops.cli.sentences import errors, sentences

if TYPE_CHECKING:
    from zenml_airflow.settings.project import Settings
    from zenml_mlops.data.config import DataConfig
    from zenml_mlops.data.feed import FedPartition
    from zenml_mlops.data.use_case import UseCase

data_app = group("Source data: fetch it once, then replay its latest rows as daily partitions.")


@data_app.command()
def fetch(
    source: Annotated[
        str,
        typer.Option(
            help="`synthetic`, `auto`, `uci` (the public source of the example), or the path or URL of a file. "
            "`auto` takes what is already there, else the public source, else synthetic data, and says which."
        ),
    ] = "auto",
    rows: Annotated[int | None, typer.Option(min=1, help="Synthetic rows; the use case has a default.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Their seed; the use case has a default.")] = None,
    environment: Environment = "local",
) -> None:
    """Bring the source data into the raw folder.

    Published data is accepted only with its published sha256; a failed fetch leaves what was there before. Ctrl-C
    keeps a `.part` file, and the next fetch of the same URL continues it.

    For example:

    `mlops data fetch`: whatever can be had, offline too

    `mlops data fetch --source uci`: the published data or an error

    `mlops data fetch --source ~/Downloads/diabetes.zip`

    `mlops data fetch --source synthetic --rows 20000 --seed 7`
    """
    if source not in {"synthetic", "auto"} and (rows is not None or seed is not None):
        raise typer.BadParameter(f"--rows and --seed shape synthetic data; --source {source} has none.")
    with sentences():
        from zenml_mlops.data.fetch import fetch as fetch_source

        settings, config, use_case = _settings(environment)
        fetch_source(
            source if "://" in source else str(Path(source).expanduser()),
            settings.state_dir / config.raw,
            use_case,
            rows=rows,
            seed=seed,
            console=errors,
        )


@data_app.command()
def feed(
    first_day: Annotated[datetime, day_option("--from", help="First day, inclusive.")],
    last_day: Annotated[
        datetime | None, day_option("--to", help="Last day, inclusive; the first day if left out.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace complete partitions that hold other data.")
    ] = False,
    environment: Environment = "local",
) -> None:
    """Replay held-out rows as landing partitions, one per day.

    No training run sees these rows, and their outcome is left out. Feeding a day again changes
    nothing; a half-written day is redone.

    For example:

    `mlops data feed --from 2026-01-05`: one day

    `mlops data feed --from 2026-01-05 --to 2026-01-11`: a week

    `mlops data feed --from 2026-01-05 --to 2026-01-11 --force`: after fetching another source
    """
    with sentences():
        from zenml_mlops.data.feed import feed as feed_days

        settings, config, use_case = _settings(environment)
        days = (first_day.date(), (last_day or first_day).date())
        with _counted(errors, "Feeding", *days) as advance:
            fed = feed_days(
                *days,
                raw_dir=settings.state_dir / config.raw,
                landing=settings.resolve(settings.storage.landing),
                config=config,
                use_case=use_case,
                force=force,
                on_day=advance,
            )
        for partition in fed:
            errors.print(f"{partition.day}  {partition.rows:>6,} rows  {partition.status}")


@data_app.command()
def outcomes(
    first_day: Annotated[datetime, day_option("--from", help="First day of the cases, inclusive.")],
    last_day: Annotated[
        datetime | None, day_option("--to", help="Last day, inclusive; the first day if left out.")
    ] = None,
    environment: Environment = "local",
) -> None:
    """Deliver what became of the replayed cases of some days: the labels that monitoring waits for.

    Monitoring reads the outcomes of a day only when `label_delay_days` have passed, however early they come.

    For example:

    `mlops data outcomes --from 2026-01-05 --to 2026-01-11`: a week
    """
    with sentences():
        from zenml_mlops.data.outcomes import feed_outcomes

        settings, config, use_case = _settings(environment)
        days = (first_day.date(), (last_day or first_day).date())
        with _counted(errors, "Delivering", *days) as advance:
            fed = feed_outcomes(
                *days,
                raw_dir=settings.state_dir / config.raw,
                outcomes=settings.resolve(settings.storage.outcomes),
                config=config,
                use_case=use_case,
                on_day=advance,
            )
        for partition in fed:
            errors.print(f"{partition.day}  {partition.rows:>6,} outcomes  {partition.status}")


@contextmanager
def _counted(console: Console, what: str, first: date, last: date) -> Iterator[Callable[[FedPartition], None]]:
    """A progress bar over days; what it gives is called after each of them."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=errors, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=max((last - first).days + 1, 0))
        yield lambda _: progress.advance(task)


def _settings(environment: str) -> tuple[Settings, DataConfig, UseCase]:
    """Read the environment's settings and type their data section; a mistake there raises ``ValueError``."""
    from zenml_airflow.settings.project import load_settings
    from zenml_mlops.data.config import DataConfig
    from zenml_mlops.data.use_case import load_use_case

    settings = load_settings(environment)
    return settings, DataConfig.from_settings(settings), load_use_case(settings.definition)
