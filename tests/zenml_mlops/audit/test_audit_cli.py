"""``mlops audit`` as an auditor calls it."""

import json

import pytest
from typer.testing import CliRunner

from zenml_mlops.audit import Outcome
from zenml_mlops.audit.entries import Event
from zenml_mlops.audit.log import FileLog
from zenml_mlops.cli.audit import audit_app


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    folder = tmp_path_factory.mktemp("state")
    log = FileLog(folder / "audit" / "decisions.jsonl")
    for number in range(3):
        log.append(
            Event(
                actor="user:anna",
                action="promote" if number else "deploy",
                subject=f"[red]m/{number}",
                outcome=Outcome.REFUSED,
                verdicts=({"policy": "p", "passed": False}, {"policy": "q", "passed": True}),
            )
        )
    return folder


@pytest.fixture
def mlops(state):
    def call(*arguments):
        return CliRunner().invoke(audit_app, [*map(str, arguments)], env={"MLOPS_STATE_DIR": str(state)})

    return call


def test_show_filters_and_prints_what_stands_there(mlops):
    shown = mlops("show", "--action", "promote", "--last", 1)
    assert shown.exit_code == 0, shown.stderr
    assert "[red]m/2" in shown.stdout
    assert "1 of 2 failed" in shown.stdout
    assert "m/1" not in shown.stdout
    lines = mlops("show", "--subject", "m/0", "--json").stdout.splitlines()
    assert [json.loads(line)["number"] for line in lines] == [1]


def test_verify_says_whole_and_then_names_the_broken_entry(mlops, state):
    assert "3 entries are whole, 1 to 3" in mlops("verify").stdout
    path = state / "audit" / "decisions.jsonl"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"m/1", b"m/9"))
    try:
        broken = mlops("verify", "--offline", "--json")
    finally:
        path.write_bytes(content)
    assert broken.exit_code == 1
    assert json.loads(broken.stdout)["broken"] == 2
    assert json.loads(broken.stdout)["entries"] == 1


def test_an_export_is_verified_by_itself_and_overwrites_nothing(mlops, tmp_path):
    out = tmp_path / "export.jsonl"
    assert "wrote 3 entries" in mlops("export", "--out", out).stdout
    assert "3 entries are whole" in mlops("verify", out).stdout
    again = mlops("export", "--out", out)
    assert again.exit_code == 1
    assert "exists already" in again.stderr
    assert mlops("export", "--to", "2020-01-01").stdout == ""
    wrong = mlops("export", "--from", "2026-01-02", "--to", "2026-01-01")
    assert wrong.exit_code == 1
    assert wrong.stderr.startswith("Error: --from 2026-01-02 is after --to 2026-01-01")
