"""What every command of ``mlops`` has in common: help that teaches, an environment, JSON for programs."""

import io
import json
import os

import pytest
from labs import ROOT, warm
from rich.console import Console
from rich.table import Table
from typer.main import get_command

from zenml_mlops.cli.app import app
from zenml_mlops.cli.sentences import print_table

NO_JSON = {
    "mlops audit export": "JSON lines are all that it prints",
    "mlops card": "a document, in the format that --format names",
    "mlops data feed": "what it did stands in the landing zone's manifests",
    "mlops data outcomes": "what it did stands in the outcomes' markers",
    "mlops data fetch": "what it did stands in the raw folder's manifest",
    "mlops demo": "a tour for people",
    "mlops upgrade": "what it changed stands in git diff",
    "mlops deploy": "its result is the manifests, which are JSON",
    "mlops down": "the exit code says it",
    "mlops env": "lines for a shell",
    "mlops github secrets": "lines for GitHub",
    "mlops gitlab secrets": "a file for the job's shell",
    "mlops logs": "logs",
    "mlops models candidate": "one number",
    "mlops models compare": "Markdown for a pull request",
    "mlops models champion": "one number",
    "mlops password": "one word",
    "mlops policy explain": "one page",
    "mlops policy schema": "JSON is all that it prints",
    "mlops run": "the run's records are in ZenML and Airflow",
    "mlops snapshots run": "the run's records are in ZenML and Airflow",
    "mlops stack export": "in the format that --format names",
    "mlops stack validate": "the exit code and sentences with file and line",
    "mlops up": "the exit code says it",
}


def commands(command=None, path=("mlops",)):
    found = get_command(app) if command is None else command
    for name, child in getattr(found, "commands", {}).items():
        yield from commands(child, (*path, name))
    if not hasattr(found, "commands"):
        yield " ".join(path), found


ALL = dict(commands())


def options(command):
    return {option for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize("name", sorted(ALL))
def test_help_says_what_it_does_and_shows_it(name):
    text = ALL[name].help
    assert "For example" in text, "no example"
    assert name in text.partition("For example")[2]
    assert text.split("\n")[0].endswith("."), "no sentence"
    for parameter in ALL[name].params:
        assert parameter.help or parameter.name == "help", f"{parameter.name} has no help"


@pytest.mark.parametrize("name", sorted(ALL))
def test_programs_get_json_where_there_is_something_to_tell(name):
    assert ("--json" in options(ALL[name])) is (name not in NO_JSON)


def test_the_exceptions_are_commands():
    assert not NO_JSON.keys() - ALL.keys()


def call(*arguments, state):
    return warm.run(
        ["-m", "zenml_mlops.cli.app", *arguments], cwd=ROOT, env={**os.environ, "MLOPS_STATE_DIR": str(state)}
    )


def test_wrong_usage_is_2_and_a_refusal_is_1(tmp_path):
    wrong = call("promote", state=tmp_path)
    assert wrong.returncode == 2
    refused = call("config", "show", "nowhere", state=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.startswith("Error: ")
    assert "Traceback" not in refused.stderr


def test_settings_and_policies_are_json_for_programs(tmp_path):
    settings = json.loads(call("config", "show", "production", "--json", state=tmp_path).stdout)
    assert settings["environment"]["value"] == "production"
    assert settings["environment"]["origin"] == "computed"
    assert any(one["origin"].startswith("configs/production.yaml:") for one in settings.values())
    policies = json.loads(call("policy", "list", "--env", "staging", "--json", state=tmp_path).stdout)
    assert {one["mode"] for one in policies} <= {"off", "dry_run", "enforce"}
    assert len(policies) > 10


@pytest.mark.parametrize("terminal", [True, False])
def test_a_table_is_as_wide_as_the_terminal_and_cuts_nothing(terminal):
    name, text = "n" * 90, "what people read " * 3
    table = Table("name", "text")
    table.add_row(name, text)
    out = io.StringIO()
    print_table(table, Console(file=out, force_terminal=terminal, width=80, color_system=None))
    shown = out.getvalue().splitlines()
    assert max(map(len, shown)) <= (80 if terminal else 170)
    assert "".join(shown[3:]).count("n") == len(name)
    assert len(shown) > 5 if terminal else len(shown) == 5
