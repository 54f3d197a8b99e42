"""An apply that fails in the middle: what it says, what goes on record, and that applying again finishes it."""

import json
import re
import sqlite3
from contextlib import contextmanager

import pytest
from stack_files import GOOGLE

from zenml_mlops.audit import AUDIT_LOG_ENV, AuditError
from zenml_mlops.environment.stack_changes import apply_and_record
from zenml_mlops.stacks.apply import ApplyError, apply_stack_file, plan_stack_file

ENVIRON = {"MLFLOW_PASSWORD": "first-value"}
STORE = "artifact_store"


@pytest.fixture
def audit(tmp_path, monkeypatch):
    """Reads the audit log of this process."""
    path = tmp_path / "audit.jsonl"
    monkeypatch.setenv(AUDIT_LOG_ENV, str(path))
    monkeypatch.setenv("MLFLOW_PASSWORD", ENVIRON["MLFLOW_PASSWORD"])

    def entries():
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    return entries


@pytest.fixture
def refusing(tmp_path):
    """Has ZenML's own database refuse a write."""

    @contextmanager
    def refuse(event, condition):
        def execute(statement):
            with sqlite3.connect(tmp_path / "local_stores" / "default_zen_store" / "zenml.db") as database:
                database.execute(statement)

        execute(
            f"CREATE TRIGGER lab_refuses BEFORE {event} WHEN {condition} "
            "BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        )
        try:
            yield
        finally:
            execute("DROP TRIGGER lab_refuses")

    return refuse


def plan(loaded):
    return [str(change) for change in plan_stack_file(loaded, ENVIRON)[0]]


def apply(loaded, **options):
    return [str(change) for change in apply_stack_file(loaded, ENVIRON, **options)]


def flavor_of_stack(client):
    return client.get_stack("lab").components[STORE][0].flavor_name


def test_a_creation_that_is_refused(client, lab, refusing):
    with (
        refusing("INSERT ON stack_component", "NEW.name = 'images'"),
        pytest.raises(ApplyError, match="the disk is full") as error,
    ):
        apply(lab())
    said = str(error.value)
    assert said.startswith("+ create container_registry images failed: ")
    assert "done: + create artifact_store artifacts" in said
    assert "not done: + create stack lab" in said
    assert client.list_stack_components(name="artifacts").total == 1
    assert client.list_stacks(name="lab").total == 0
    assert apply(lab()) == [str(change) for change in error.value.missing]
    assert plan(lab()) == []


@pytest.mark.parametrize(
    ("event", "condition", "failed", "done", "left"),
    [
        pytest.param(
            "UPDATE ON stack_component",
            "NEW.name LIKE '%-replaced-%'",
            "-/+ replace artifact_store artifacts",
            [],
            ["-/+ replace artifact_store artifacts", "~ update stack lab"],
            id="the old one cannot be renamed",
        ),
        pytest.param(
            "INSERT ON stack_component",
            "NEW.flavor = 'gcp'",
            "-/+ replace artifact_store artifacts",
            [],
            [
                "+ create artifact_store artifacts",
                "~ update stack lab",
                "- delete artifact_store artifacts-replaced",
            ],
            id="the new one cannot be made",
        ),
        pytest.param(
            "INSERT ON stack_composition",
            "1",
            "~ update stack lab",
            ["-/+ replace artifact_store artifacts"],
            ["~ update stack lab", "- delete artifact_store artifacts-replaced"],
            id="the stack cannot take it",
        ),
    ],
)
def test_a_replacement_that_is_refused(client, lab, refusing, event, condition, failed, done, left):
    """Wherever it breaks off, the stack still holds the old component; applying again ends with the new one."""
    apply(lab())
    google = lab(*GOOGLE)
    with refusing(event, condition), pytest.raises(ApplyError, match="the disk is full") as error:
        apply(google)
    said = str(error.value).splitlines()
    assert said[0].startswith(f"{failed} failed: ")
    assert [line for line in said if line.startswith("done: ")] == [f"done: {change}" for change in done]
    assert f"not done: {failed}" in said
    assert said[-1].endswith("even if a change was only half made.")
    assert flavor_of_stack(client) == "s3"
    assert [re.sub("-replaced-.*", "-replaced", line) for line in plan(google)] == left

    apply(google)
    assert flavor_of_stack(client) == "gcp"
    assert [line.partition("-replaced-")[0] for line in plan(google)] == ["- delete artifact_store artifacts"]
    apply(google, prune=True)
    assert plan(google) == []
    assert client.list_stack_components(type=STORE, name="contains:artifacts").total == 1


def test_a_component_that_another_stack_holds_is_not_pruned(client, lab):
    apply(lab())
    old = client.get_stack_component(STORE, "artifacts").id
    default = client.get_stack("default").components["orchestrator"][0].id
    theirs = client.create_stack("theirs", components={"orchestrator": default, STORE: old})
    google = lab(*GOOGLE)
    with pytest.raises(ApplyError) as error:
        apply(google, prune=True)
    assert str(error.value).startswith(f"- delete artifact_store artifacts-replaced-{str(old)[:8]} failed: ")
    assert flavor_of_stack(client) == "gcp"
    client.delete_stack(theirs.id)
    assert apply(google, prune=True) == [f"- delete artifact_store artifacts-replaced-{str(old)[:8]}"]


def test_a_refused_secret_is_not_repeated(client, lab, refusing):
    with refusing("INSERT ON secret", "1"), pytest.raises(ApplyError) as error:
        apply(lab())
    assert str(error.value).splitlines()[0].startswith("+ create secret mlflow failed: ")
    assert "full" not in str(error.value)


@pytest.mark.usefixtures("client")
def test_the_audit_log_says_who_changed_what_by_which_plan(lab, audit):
    made = [str(change) for change in apply_and_record(lab())]
    allowed, done = audit()
    assert (allowed["action"], allowed["outcome"], done["outcome"]) == ("apply_stack", "allowed", "done")
    assert allowed["subject"] == "stacks:lab"
    assert allowed["actor"].startswith("user:")
    assert [verdict["change"] for verdict in done["verdicts"]] == made
    assert [verdict["change"] for verdict in allowed["verdicts"]] == made
    assert allowed["links"] == done["links"] == {"environment": "lab", "plan": allowed["links"]["plan"]}
    assert len(allowed["links"]["plan"]) == 64
    assert "first-value" not in str(audit())
    assert list(apply_and_record(lab())) == []
    assert len(audit()) == 2, "nothing was changed, and nothing is recorded"


@pytest.mark.usefixtures("client")
def test_the_audit_log_says_what_a_failed_apply_has_changed(lab, audit, refusing):
    with refusing("INSERT ON stack", "1"), pytest.raises(ApplyError):
        list(apply_and_record(lab()))
    allowed, failed = audit()
    assert failed["outcome"] == "failed"
    assert "not done: + create stack lab" in failed["reason"]
    planned = [verdict["change"] for verdict in allowed["verdicts"]]
    assert [verdict["change"] for verdict in failed["verdicts"]] == planned[:-1]
    assert [str(change) for change in apply_and_record(lab())] == planned[-1:]
    assert [entry["outcome"] for entry in audit()] == ["allowed", "failed", "allowed", "done"]


def test_an_interrupted_apply_is_on_record(client, lab, audit):
    changes = apply_and_record(lab())
    first = str(next(changes))
    with pytest.raises(KeyboardInterrupt):
        changes.throw(KeyboardInterrupt())
    assert [verdict["change"] for verdict in audit()[-1]["verdicts"]] == [first]
    assert audit()[-1]["reason"] == "KeyboardInterrupt"
    assert client.list_stacks(name="lab").total == 0


def test_without_an_entry_nothing_is_changed(client, lab, audit, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv(AUDIT_LOG_ENV, str(tmp_path / "file" / "audit.jsonl"))
    with pytest.raises(AuditError):
        list(apply_and_record(lab()))
    assert audit() == []
    assert client.list_stack_components(name="artifacts").total == 0
