"""``mlops promote``, ``mlops rollback`` and ``mlops models`` as an operator calls them."""

import json
import os
from pathlib import Path

import pytest
from labs import ROOT, warm

pytestmark = pytest.mark.trained

PLAY = Path(__file__).with_name("models_play.py")


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    state = tmp_path_factory.mktemp("state")
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("MLOPS_", "ZENML_"))}
    environment = {
        **keep,
        "PYTHONPATH": os.pathsep.join((str(PLAY.parent), os.environ["PYTHONPATH"])),
        "COLUMNS": "300",
        "ZENML_LOGGING_VERBOSITY": "ERROR",
    }
    result = warm.run([PLAY, state], cwd=ROOT, env=environment)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout[result.stdout.index("[[") :])


def answers(said, command):
    return [(code, output) for called, code, output in said if called.startswith(command)]


def test_promotion_and_rollback_say_what_they_changed(said):
    assert answers(said, "promote played 1") == [(0, "played version 1 is in production now.\n")]
    for code, output in answers(said, "promote played 3"):
        assert code == 1
        assert "['floor'] failed" in output
    first, second = answers(said, "promote played --dry-run")
    assert first[0] == 0
    assert first[1].startswith("version 2: no stage -> production\nversion 1: production -> archived\n")
    assert "policy model-card (dry_run)" in first[1]
    assert first[1].endswith("It would be done. Nothing was changed.\n")
    assert second == (0, "version 2 is in production already: nothing to do\n")
    (real,) = answers(said, "promote played --reason")
    assert real == (0, "played version 2 is in production now; version 1 is archived.\n")
    assert answers(said, "promote played --resume") == [
        (0, "Nothing of played was interrupted; nothing changed.\n")
    ]
    assert answers(said, "promote played 2 --resume")[0][0] == 1
    dry, done, nothing = answers(said, "rollback played")
    assert "version 1: archived -> production\nversion 2: production -> archived" in dry[1]
    assert done == (0, "played version 1 is in production now; version 2 is archived.\n")
    assert nothing[0] == 1
    assert "nothing to roll back to" in nothing[1]


def test_numbers_for_scripts(said):
    assert answers(said, "models candidate") == [(0, "1\n")]
    inside, empty = answers(said, "models champion")
    assert inside == (0, "1\n")
    assert empty[0] == 1
    assert "No version of 'played' is in staging" in empty[1]
    (compared,) = answers(said, "models compare")
    assert compared[0] == 1
    assert "has no model card" in compared[1]


def test_persons_decide_and_take_versions_out(said):
    (rejected,) = answers(said, "models reject")
    assert "played version 2 is rejected for production by user:" in rejected[1]
    assert "rejected it for production" in answers(said, "promote played 2")[1][1]
    assert answers(said, "models approve")[0][0] == 0
    assert "production is empty now" in answers(said, "models archive")[0][1]
    withdrawn, without_reason = answers(said, "models withdraw")
    assert "never serves again" in withdrawn[1]
    assert without_reason[0] == 2


def test_what_stands_where_and_how_it_came_there(said):
    models, shown, history = (json.loads(answers(said, f"models {c} ")[0][1]) for c in ("list", "show", "history"))
    assert models == [{"model": "played", "versions": 3, "newest": 3, "staging": None, "production": None}]
    assert [(row["version"], row["stage"], row["gates"]) for row in shown] == [
        (3, None, "failed: floor"),
        (2, "archived", "passed"),
        (1, "archived", "passed"),
    ]
    assert shown[1]["withdrawn"] == "Because the test asks for it."
    assert [(r["plan"]["kind"], r["plan"]["version"], r["state"]) for r in history] == [
        ("promote", 1, "done"),
        ("promote", 2, "done"),
        ("rollback", 1, "done"),
        ("archive", 1, "done"),
        ("withdraw", 2, "done"),
    ]
    assert "rollback: version 1: archived -> production" in answers(said, "models history played")[1][1]
    assert "failed: floor" in answers(said, "models show played")[1][1]
    assert answers(said, "models show nothing")[0][0] == 1
    assert "entries are whole" in answers(said, "audit verify")[0][1]
