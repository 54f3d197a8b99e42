"""``mlops audit``: read the audit log, check it, hand it out."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from zenml_mlops.cli.json_output import print_json
from zenml_mlops.cli.options import Environment, day_option, group
from zenml_mlops.cli.sentences import console, errors, print_table, sentences

if TYPE_CHECKING:
    from zenml_airflow.settings.project import Settings
    from zenml_mlops.audit import Entry
    from zenml_mlops.audit.log import AuditLog

audit_app = group("The audit log: every decision on pipelines and models, each entry bound to the one before it.")
First = Annotated[datetime | None, day_option("--from", help="First day, UTC; all by default.")]
Last = Annotated[datetime | None, day_option("--to", help="Last day, UTC; all by default.")]


@audit_app.command()
def show(
    last: Annotated[int, typer.Option("--last", min=1, help="How many entries, the latest ones.")] = 20,
    action: Annotated[str | None, typer.Option(help="Only entries of this action, such as promote.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only entries whose subject contains this text.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the entries as JSON lines.")] = False,
    environment: Environment = "local",
) -> None:
    """Show the latest entries. What cannot be read ends the list with an error: `verify` says more.

    For example: `mlops audit show --last 5`, or `mlops audit show --action promote --subject readmission_risk`
    """
    with sentences():
        entries = [
            entry
            for entry in _entries(_log(environment)[1].lines())
            if (action is None or entry.action == action) and (subject is None or subject in entry.subject)
        ][-last:]
        if as_json:
            sys.stdout.writelines(f"{entry.line().decode()}\n" for entry in entries)
            return
        table = Table("no.", "at (UTC)", "actor", "action", "subject", "outcome", "verdicts", "reason")
        for entry in entries:
            failed = sum(verdict.get("passed") is False for verdict in entry.verdicts)
            judged = f"{failed} of {len(entry.verdicts)} failed" if entry.verdicts else ""
            texts = (entry.actor, entry.action, entry.subject, entry.outcome.value, judged, entry.reason or "")
            table.add_row(str(entry.number), f"{entry.at:%Y-%m-%d %H:%M:%S}", *map(escape, texts))
        print_table(table)


@audit_app.command()
def verify(
    file: Annotated[
        Path | None, typer.Argument(help="An exported file; the environment's log by default.", dir_okay=False)
    ] = None,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Do not compare with the heads in ZenML; a truncated log goes unseen."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
    environment: Environment = "local",
) -> None:
    """Check every entry, its hash and its place; exit with 1 at the first broken one.

    ZenML's runs and model versions remember heads of the log, so an end that was cut off, or a log that was
    written anew, shows too. An exported file is checked by itself.

    For example: `mlops audit verify`, or `mlops audit verify --offline --json`
    """
    with sentences():
        from zenml_mlops.audit import Head
        from zenml_mlops.audit import verify as check

        heads: dict[str, Head] = {}
        if file is None:
            log = _log(environment)[1]
            if not offline:
                from zenml_mlops.audit.heads import remembered_heads

                # Before the log is read: an entry that is added meanwhile must not be missed in it.
                heads = remembered_heads()
            found, where = check(log.lines(), heads), log.location
        else:
            with file.open("rb") as lines:
                found, where = check(lines, part=True), str(file)
        if as_json:
            report = {"log": where, "whole": found.whole, **found.model_dump(mode="json")}
            print_json(report)
        elif found.whole:
            text = f"{where}: {found.entries} entries are whole"
            if found.head is not None:
                text += f", {found.first} to {found.head.number}; the last one's hash is {found.head.hash}"
            console.print(f"{text}; compared with {found.checkpoints} heads in ZenML", highlight=False)
        else:
            console.print(
                f"[red]Broken[/red]: entry {found.broken} of {escape(where)}: {escape(found.problem or '')}. The "
                f"{found.entries} entries before it are whole.",
                highlight=False,
            )
        if not found.whole:
            raise typer.Exit(1)


@audit_app.command()
def export(
    start: First = None,
    end: Last = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write, which must not exist; the standard output by default.")
    ] = None,
    environment: Environment = "local",
) -> None:
    """Write the entries of some days as JSON lines; `mlops audit verify FILE` checks them anywhere.

    The file has every entry between the first and the last of these days, as they stand in the log.

    For example: `mlops audit export --from 2026-01-01 --to 2026-12-31 --out audit-2026.jsonl`
    """
    with sentences():
        from zenml_mlops.audit.report import consecutive, export_bytes

        first, last = _days(start, end)
        chosen = consecutive(list(_entries(_log(environment)[1].lines())), first, last)
        lines = export_bytes(chosen)
        if out is None:
            sys.stdout.write(lines.decode())
            return
        _write_new(out, lines)
        console.print(f"wrote {len(chosen)} entries to {out}", highlight=False)


@audit_app.command()
def report(
    out: Annotated[Path, typer.Option(help="Page to write, which must not exist.", dir_okay=False)],
    start: First = None,
    end: Last = None,
    pdf: Annotated[
        Path | None, typer.Option("--pdf", help="Also print it to this file with Chromium.", dir_okay=False)
    ] = None,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Do not query ZenML: a truncated log goes unseen, some versions unnamed."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the number of rows of each chapter as JSON.")
    ] = False,
    environment: Environment = "local",
) -> None:
    """Write what was trained, gated, approved, promoted, scored and waived in some days as one page to read.

    The page needs no other file. It begins with what was found about the whole log; of a broken log it tells what
    stands before the break, and the command exits with 1.

    For example: `mlops audit report --from 2026-01-01 --out audit-2026.html`
    """
    with sentences():
        first, last = _days(start, end)
        settings, log = _log(environment)
        from zenml_mlops.audit.report import to_html
        from zenml_mlops.cli.chromium import find_chromium, print_to_pdf
        from zenml_mlops.lineage.audit_report import make_report

        if pdf is not None:
            find_chromium()
            if pdf.exists():
                raise ValueError(f"{pdf} exists already: name another file.")
        made = make_report(settings, log, first, last, offline=offline)
        _write_new(out, to_html(made).encode())
        if pdf is not None:
            print_to_pdf(out, pdf)
        found = made.verification
        if as_json:
            chapters = {name.name.lower(): {"rows": rows, "bad": bad} for name, rows, bad in made.summary}
            answer = {"whole": found.whole, "entries": made.entries, "sha256": made.digest, "chapters": chapters}
            print_json(answer)
        else:
            listed = ", ".join(f"{rows} {name.name.lower()}" for name, rows, _ in made.summary if rows)
            console.print(f"wrote {out}: {made.entries} entries ({listed or 'nothing happened'})", highlight=False)
        if not found.whole:
            errors.print(
                f"[red]Broken[/red]: entry {found.broken}: {escape(found.problem or '')}.", highlight=False
            )
            raise typer.Exit(1)


def _days(start: datetime | None, end: datetime | None) -> tuple[date, date]:
    first, last = start.date() if start else date.min, end.date() if end else date.max
    if first > last:
        raise ValueError(f"--from {first} is after --to {last}.")
    return first, last


def _write_new(out: Path, content: bytes) -> None:
    try:
        with out.open("xb") as file:
            file.write(content)
    except FileExistsError:
        raise ValueError(f"{out} exists already: name another file.") from None


def _log(environment: str) -> tuple[Settings, AuditLog]:
    from zenml_mlops.environment.process import enter

    settings = enter(environment)
    from zenml_mlops.audit import configured_log

    log = configured_log()
    if log is None:
        raise RuntimeError("This environment has no audit log: name its place as `storage.audit` in configs/.")
    return settings, log


def _entries(lines: Iterable[bytes]) -> Iterator[Entry]:
    from zenml_mlops.audit.entries import MalformedEntryError, parse_entry

    for number, line in enumerate(lines, start=1):
        try:
            yield parse_entry(line.removesuffix(b"\n"))
        except MalformedEntryError as error:
            raise RuntimeError(
                f"Line {number} of the audit log is no entry: {error}. See `mlops audit verify`."
            ) from None
