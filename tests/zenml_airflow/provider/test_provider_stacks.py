"""The stack commands against a real ZenML server, as a service account."""

import json
import os
import shutil
from pathlib import Path

import pytest
from labs import ROOT, warm

PASSWORD, TOKEN = "mlflow-password-of-the-lab", "slack-token-of-the-lab"


@pytest.fixture(scope="module")
def said(zenml_server, tmp_path_factory):
    """What the commands said of the staging stack, one after the other, and what they left on record."""
    root = tmp_path_factory.mktemp("stacks")
    for name in ("configs", "stacks"):
        shutil.copytree(ROOT / name, root / name)
    config = (root / "configs" / "staging.yaml").read_text()
    assert "  audit: audit " in config
    (root / "configs" / "staging.yaml").write_text(
        config.replace("  audit: audit ", f"  audit: {root / 'audit.jsonl'} ")
    )
    result = warm.run(
        [str(Path(__file__).with_name("play_stacks.py"))],
        env={
            **os.environ,
            "MLOPS_PROJECT_ROOT": str(root),
            "MLOPS_STATE_DIR": str(root / "state"),
            "MLFLOW_TRACKING_PASSWORD": PASSWORD,
            "SLACK_TOKEN": TOKEN,
            "ZENML_STORE_URL": zenml_server.url,
            "ZENML_STORE_API_KEY": zenml_server.api_key,
            "COLUMNS": "200",
        },
        cwd=ROOT,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return {**json.loads(result.stdout.strip().splitlines()[-1]), "audit": (root / "audit.jsonl").read_text()}


def exits(said, *keys):
    return {key: said[key]["exit"] for key in keys}


def test_plan_apply_plan(said):
    assert exits(said, "unresolved", "first plan", "apply", "second plan") == {
        "unresolved": 1,
        "first plan": 3,
        "apply": 0,
        "second plan": 0,
    }, said
    assert "~ update secret mlflow" in said["first plan"]["output"]
    assert "+ create stack staging" in said["first plan"]["output"]
    assert "+ create stack staging" in said["apply"]["output"]
    assert said["second plan"]["output"].strip().endswith("staging: nothing to change")
    assert said["password"] == PASSWORD
    assert {"container_registry", "image_builder", "alerter", "data_validator"} < set(said["parts"])


def test_an_edit_by_hand_is_found_and_repaired(said):
    assert exits(said, "diff", "repair", "third plan") == {"diff": 3, "repair": 0, "third plan": 0}, said
    assert "changed by hand: artifact_store artifacts" in said["diff"]["output"]
    assert "'s3://elsewhere/artifacts' -> 's3://example-mlops-staging/artifacts'" in said["diff"]["output"]
    assert "~ update artifact_store artifacts" in said["repair"]["output"]
    assert said["path"] == "s3://example-mlops-staging/artifacts"


def test_each_apply_is_on_record(said):
    entries = [json.loads(line) for line in said["audit"].splitlines()]
    assert [(entry["subject"], entry["outcome"]) for entry in entries] == [
        ("stacks:staging", "allowed"),
        ("stacks:staging", "done"),
    ] * 2
    assert entries[0]["links"]["plan"] == entries[1]["links"]["plan"] != entries[2]["links"]["plan"]
    # The plan that was shown is the one that was applied.
    assert f"plan {entries[0]['links']['plan'][:12]} for staging" in said["first plan"]["output"]


def test_no_secret_is_shown(said):
    text = json.dumps({key: value for key, value in said.items() if key != "password"})
    assert PASSWORD not in text
    assert TOKEN not in text
