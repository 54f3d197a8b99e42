"""``mlops report``: what monitoring found."""

from __future__ import annotations

import webbrowser
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from zenml_mlops.cli.json_output import print_json
from zenml_mlops.cli.options import AsJson, Environment, day_option, group
from zenml_mlops.cli.sentences import console, print_table, sentences

if TYPE_CHECKING:
    from datetime import date as Day

    from zenml_mlops.data.partitions import PartitionStore

report_app = group("What monitoring found in the scored days: drift, bad data, missing rows, lost performance.")

Date = Annotated[datetime | None, day_option("--date", help="The day; the last one by default.")]

ALERT_EXIT = 3


@report_app.command("show")
def show_report(
    date: Date = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 if an alert is open.")] = False,
    as_json: AsJson = False,
    environment: Environment = "local",
) -> None:
    """Show what was found on a day, and which alerts are open.

    For example: `mlops report show`, `mlops report show --date 2026-01-05 --json`
    """
    with sentences():
        from zenml_mlops.monitoring.findings import read_findings

        store = _store(environment)
        found = read_findings(store, _day(store, date))
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        console.print(
            f"{found.day}: {found.own.rows} rows scored by version {found.own.version}, "
            f"{len(found.flagged)} findings, {len(found.alerts)} open alerts",
            highlight=False,
        )
        if found.own.problem:
            console.print(f"Not everything could be checked: {found.own.problem}", markup=False, style="yellow")
        alerts = {alert.key: alert for alert in found.alerts}
        table = Table("check", "alert since", "evidence")
        for key in dict.fromkeys([*alerts, *(check.key for check in found.flagged)]):
            since = str(alerts[key].opened) if key in alerts else ""
            evidence = next((check.evidence for check in found.flagged if check.key == key), "not flagged today")
            table.add_row(key, since, evidence)
        if table.row_count:
            print_table(table)
    if strict and found.alerts:
        raise typer.Exit(ALERT_EXIT)


@report_app.command("open")
def open_report(
    date: Date = None,
    trend: Annotated[bool, typer.Option("--trend", help="The last days instead of one.")] = False,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the path of the page.")] = False,
    as_json: AsJson = False,
    environment: Environment = "local",
) -> None:
    """Open the page of a day, or of the days up to it, in the browser.

    A page that lies in an object store is copied to a folder of this computer first.

    For example: `mlops report open --no-browser`, `mlops report open --date 2026-01-05 --trend`
    """
    with sentences():
        from zenml_airflow.settings.project import load_settings
        from zenml_mlops.monitoring.findings import DAY_PAGE, TREND_PAGE, page_path

        settings, store = load_settings(environment), _store(environment)
        day = _day(store, date)
        name = TREND_PAGE if trend else DAY_PAGE
        found = page_path(store, day, name)
        place = Path(found)
        if not store.links:
            place = settings.state_dir / "reports" / settings.use_case / f"{day}-{name}"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(store.fs.cat_file(found))
    if as_json:
        print_json({"day": str(day), "page": str(place)})
    else:
        console.print(str(place), markup=False, highlight=False)
    if not no_browser and not as_json and not webbrowser.open(place.resolve().as_uri()):
        console.print("No browser could be opened: open the file manually.", style="yellow")


def _store(environment: str) -> PartitionStore:
    from zenml_airflow.settings.project import load_settings
    from zenml_mlops.data.partitions import PartitionStore

    settings = load_settings(environment)
    return PartitionStore(settings.resolve(settings.storage.monitoring))


def _day(store: PartitionStore, given: datetime | None) -> Day:
    from zenml_mlops.data.partitions import PartitionError

    if given is not None:
        return given.date()
    days = store.days()
    if not days:
        raise PartitionError("No day has been evaluated yet: run `mlops run monitoring --date DAY`.")
    return days[-1]
