"""The audit report as a PDF, printed by the real browser."""

import os

from labs import ROOT, warm

from zenml_mlops.audit import Outcome
from zenml_mlops.audit.entries import Event
from zenml_mlops.audit.log import FileLog


def test_the_report_is_printed_with_all_its_pages(chromium, tmp_path):
    log = FileLog(tmp_path / "audit" / "decisions.jsonl")
    for number in range(200):
        log.append(Event(actor="user:anna", action="deploy", subject=f"pipeline:p{number}", outcome=Outcome.DONE))
    page, paper = tmp_path / "report.html", tmp_path / "report.pdf"
    command = ["-m", "zenml_mlops.cli.app", "audit", "report", "--offline", "--out", page, "--pdf", paper]
    ended = warm.run(command, cwd=ROOT, env={**os.environ, "MLOPS_STATE_DIR": str(tmp_path), "CHROMIUM": chromium})
    assert ended.returncode == 0, ended.stderr
    content = paper.read_bytes()
    assert content.startswith(b"%PDF-")
    assert content.count(b"/Type /Page\n") > 4
