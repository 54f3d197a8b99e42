from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from zenml_mlops.cli.data import data_app


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLOPS_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(data_app, arguments)


def said(result: Result) -> str:
    return re.sub(r"\s+", " ", re.sub(r"\x1b\[[0-9;]*m", "", result.stderr))


def test_fetch_then_feed(state: Path) -> None:
    assert run("fetch", "--source", "synthetic", "--rows", "3000", "--seed", "4").exit_code == 0
    source = json.loads((state / "raw" / "source.json").read_text())
    assert (source["kind"], source["rows"], source["origin"]) == ("synthetic", 3000, "seed=4")
    result = run("feed", "--from", "2026-01-01", "--to", "2026-01-02")
    assert result.exit_code == 0
    landing = state / "landing" / "encounters"
    assert sorted(path.name for path in landing.iterdir()) == ["date=2026-01-01", "date=2026-01-02"]
    assert "already there" in said(run("feed", "--from", "2026-01-02"))


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("feed", "--from", "2026-01-01"), 1, "run `mlops data fetch` first"),
        (("feed", "--from", "yesterday"), 2, "yesterday"),
        (("feed",), 2, "--from"),
        (("fetch", "--source", "uci", "--rows", "5"), 2, "--rows and --seed shape synthetic data"),
        (("fetch", "--source", "nowhere.zip"), 1, "No file 'nowhere.zip'"),
        (("fetch", "--env", "nowhere"), 1, "No environment 'nowhere'"),
    ],
)
def test_errors_are_sentences_with_a_code(arguments: tuple[str, ...], code: int, sentence: str) -> None:
    result = run(*arguments)
    assert result.exit_code == code
    assert sentence in said(result)
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", ["fetch", "feed"])
def test_help_shows_an_example(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"mlops data {command} --" in re.sub(r"\x1b\[[0-9;]*m", "", result.output)
