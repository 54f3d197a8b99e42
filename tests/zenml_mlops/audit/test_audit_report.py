"""The audit report: each entry in its chapter, nothing twice, and only what was recorded."""

import hashlib
import json
import os
from datetime import UTC, date, datetime, timedelta

import pytest
from labs import ROOT, warm

from zenml_mlops.audit import Outcome
from zenml_mlops.audit.chapters import Chapter, ScoredPartition
from zenml_mlops.audit.entries import Event, next_entry
from zenml_mlops.audit.log import FileLog
from zenml_mlops.audit.report import build_report, consecutive, export_bytes, ranges, to_html
from zenml_mlops.audit.verification import verify
from zenml_mlops.gates.limits import Examination, GateLimits, Judge, Limit, Measure, judge
from zenml_mlops.policy.engine import Verdict
from zenml_mlops.policy.schema import Mode, Severity
from zenml_mlops.policy.waivers import Waiver

START = datetime(2026, 3, 1, 8, tzinfo=UTC)
TRAINING, SCORING = "run-of-training", "run-of-scoring"
VERSION = "0c1d"


def gate_report(found):
    limit = Limit(metric="auc", judge=Judge.VALUE, minimum=0.6, why="Worse is no help.")
    measure = Measure(metric="auc", value=found, lower=None, upper=None, evidence=f"auc {found} on 10 rows")
    return judge(None, GateLimits(limits={"floor": limit}), Examination(measures=(measure,)).measures)


def waived():
    waiver = Waiver(
        policy="model-card",
        subject="model_version:m/1",
        who="j.doe",
        why="Written next week.",
        until=date(2026, 4, 1),
    )
    return Verdict(
        policy="model-card",
        subject="model_version:m/1",
        mode=Mode.ENFORCE,
        severity=Severity.HIGH,
        violations=("it has no card",),
        remedy="Write one.",
        waiver=waiver,
    )


def event(action, subject, outcome, **more):
    return Event(actor=more.pop("actor", "user:anna"), action=action, subject=subject, outcome=outcome, **more)


def history():
    """A training that is gated, approved, promoted with a waiver, and scores; a second one that a gate stops."""
    run, other = {"zenml_run": TRAINING}, {"zenml_run": "second"}
    verdicts = {
        name: tuple(v.model_dump(mode="json") for v in gate_report(found).verdicts)
        for name, found in (("good", 0.8), ("bad", 0.5))
    }
    move = {"transition": "m/1", "stage": "production", "model_version": VERSION}
    return [
        event("start_run", "pipeline:training", Outcome.ALLOWED, links=run),
        event("step", "step:training/load", Outcome.DONE, links=run),
        event("gate", "model:training", Outcome.ALLOWED, links={**run, "model_version": VERSION},
              verdicts=verdicts["good"]),
        event("step", "step:training/load", Outcome.DONE, links=other),
        event("gate", "model:training", Outcome.REFUSED, links=other, verdicts=verdicts["bad"]),
        event("step", "step:training/gate", Outcome.FAILED, links=other, reason="GateFailedError"),
        event("approve", "model_version:m/1", Outcome.ALLOWED, reason="<b>Ranks better</b>",
              links={"stage": "production", "model_version": VERSION}),
        event("promote", "model_version:m/1", Outcome.ALLOWED, reason="For winter.", links=move,
              verdicts=(waived().record(),)),
        event("promote", "model_version:m/1", Outcome.DONE, reason="m version 1 is there now.", links=move),
        event("promote", "model_version:m/2", Outcome.ALLOWED, links={"transition": "m/2", "stage": "staging"}),
        event("start_task", "pipeline:batch", Outcome.REFUSED, reason="no owner"),
        event("wash", "car:1", Outcome.DONE),
    ]  # fmt: skip


@pytest.fixture
def entries():
    made = []
    for place, item in enumerate(history()):
        made.append(next_entry(item, made[-1] if made else None, START + timedelta(hours=6 * place)))
    return made


def scored(day, published, *, replaced=False):
    return ScoredPartition(
        day=day, published_at=published, model="m", version=1, version_id=VERSION, scored=90, quarantined=2,
        replaced=replaced, zenml_run=SCORING, airflow="airflow:batch/run",
    )  # fmt: skip


def report_of(entries, partitions=(), first=date(2026, 3, 1), last=date(2026, 3, 31)):
    found = verify([entry.line() + b"\n" for entry in entries])
    return build_report(
        entries, found, partitions, first=first, last=last, environment="local", log="a log", heads_asked=False
    )


def test_each_entry_stands_in_its_chapter(entries):
    partitions = [
        scored(date(2026, 3, 2), START + timedelta(days=1)),
        scored(date(2026, 1, 2), START - timedelta(days=1)),
    ]
    report = report_of(entries, partitions)
    rows = {name: [(row.what, row.outcome, row.bad) for row in found] for name, found in report.chapters.items()}
    assert rows[Chapter.TRAINED] == [
        ("version m/1", "passed its gate", False),
        ("a model of training", "stopped by its gate", True),
    ]
    assert rows[Chapter.GATED] == [
        ("gate model:training, version m/1", "allowed", False),
        ("gate model:training", "refused", True),
    ]
    assert rows[Chapter.APPROVED] == [("approve m/1, for production", "allowed", False)]
    assert rows[Chapter.MOVED] == [
        ("promote m/1, for production", "done", False),
        ("promote m/2, for staging", "started, no outcome recorded", True),
    ]
    assert rows[Chapter.SCORED] == [("day 2026-03-02 with version m/1", "90 scored, 2 quarantined", False)]
    assert rows[Chapter.WAIVED] == [("model-card for model_version:m/1", "until 2026-04-01, used 1 times", False)]
    assert rows[Chapter.REFUSED] == [("start_task pipeline:batch", "refused", True)]
    assert rows[Chapter.RUNS] == [
        ("training", "1 steps ended", False),
        ("training", "2 steps ended, 1 failed", True),
    ]
    assert rows[Chapter.OTHER] == [("wash car:1", "done", False)]
    # An allowed start belongs to its run's row: no other entry is left out.
    named = {number for found in report.chapters.values() for row in found for number in row.numbers}
    assert named == {entry.number for entry in entries} - {1}
    assert "start_run allowed (entry 1)" in report.chapters[Chapter.TRAINED][0].details
    assert report.chapters[Chapter.WAIVED][0].who == "j.doe"


def test_the_digest_is_that_of_the_export_and_days_are_taken_whole(entries):
    first, last = date(2026, 3, 2), date(2026, 3, 2)
    report = report_of(entries, first=first, last=last)
    chosen = consecutive(entries, first, last)
    assert [entry.at.date() for entry in chosen] == [first] * 4
    assert report.numbers == (chosen[0].number, chosen[-1].number)
    assert report.digest == hashlib.sha256(export_bytes(chosen)).hexdigest()
    # The version's name stands in an entry of another day.
    assert verify(export_bytes(chosen).splitlines(keepends=True), part=True).whole
    assert report_of(entries, first=date(2025, 1, 1), last=date(2025, 1, 2)).numbers is None
    with pytest.raises(ValueError, match="is after the last"):
        report_of(entries, first=last, last=last - timedelta(days=1))


def test_the_page_needs_no_other_file_and_escapes_what_people_wrote(entries):
    page = to_html(report_of(entries))
    assert "&lt;b&gt;Ranks better&lt;/b&gt;" in page
    assert "<b>Ranks better" not in page
    assert not [mark for mark in ("src=", "<script", "<link", "url(", "http://", "https://") if mark in page]
    assert "floor: auc must be &gt;= 0.6: auc 0.5 on 10 rows. Worse is no help." in page
    assert "<b>The log is whole.</b>" in page


def test_numbers_are_written_as_ranges():
    assert ranges([9, 3, 4, 5, 5]) == "3-5, 9"
    assert ranges([]) == ""


def call(state, *arguments):
    return warm.run(
        ["-m", "zenml_mlops.cli.app", "audit", "report", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "MLOPS_STATE_DIR": str(state), "COLUMNS": "200"},
    )


def test_the_command_reports_what_stands_before_a_break_and_fails(tmp_path):
    log = FileLog(tmp_path / "audit" / "decisions.jsonl")
    for item in history():
        log.append(item)
    out = tmp_path / "report.html"
    made = call(tmp_path, "--offline", "--out", out, "--json")
    assert made.returncode == 0, made.stderr
    answer = json.loads(made.stdout)
    assert answer["whole"]
    assert answer["entries"] == 12
    assert answer["chapters"]["trained"] == {"rows": 2, "bad": 1}
    assert "exists already" in call(tmp_path, "--offline", "--out", out).stderr
    path = tmp_path / "audit" / "decisions.jsonl"
    path.write_bytes(path.read_bytes().replace(b"For winter", b"For summer"))
    broken = call(tmp_path, "--offline", "--out", tmp_path / "broken.html")
    assert broken.returncode == 1
    assert "entry 8: its content does not have the hash" in broken.stderr
    page = (tmp_path / "broken.html").read_text()
    assert "The log is broken at entry 8" in page
    assert "For summer" not in page
