"""Each place that says no, alone: what the others would have said is not asked."""

import json
import os
import shutil
from pathlib import Path

import pytest
from labs import ROOT, stores, warm
from labs.manifests import manifest

from zenml_airflow.manifest.manifest import ManifestError, PolicyVerdict, read_manifest, write_manifest
from zenml_airflow.operators.guards import TaskStart, ask_guards
from zenml_mlops.enforcement import task_start as guard
from zenml_mlops.policy.facts import ENVIRONMENT_LABEL
from zenml_mlops.policy.schema import load_policies

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A checkout with a staging environment whose stack is a laptop's: it breaks most of what staging asks for."""
    root = tmp_path_factory.mktemp("project")
    for name in ("configs", "stacks", "dags"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("zenml_pipelines", "governance"):
        (root / name).symlink_to(ROOT / name)
    shutil.copy(root / "configs" / "local.yaml", root / "configs" / "staging.yaml")
    stack = (root / "stacks" / "local.yaml").read_text()
    (root / "stacks" / "staging.yaml").write_text(
        stack.replace("name: local", "name: staging", 1)
        .replace("local-inline", "staging-inline")
        .replace("\n  local: {", "\n  staging: {")
        .replace("scheduled: local ", "scheduled: staging ")
    )
    stores.give_zenml(root / "state" / "zenml")
    stores.give_mlflow(root / "state")
    return root


def mlops(project, *arguments):
    environment = {**os.environ, "MLOPS_PROJECT_ROOT": str(project), "MLOPS_STATE_DIR": str(project / "state")}
    return warm.run(["-m", "zenml_mlops.cli.app", *arguments], env=environment, timeout=300)


def test_deploy_refuses_before_anything_is_made(project):
    result = mlops(project, "deploy", "batch_inference", "--env", "staging")
    assert result.returncode == 1
    said = result.stdout + result.stderr
    assert "Deploying 'batch_inference' to 'staging' is refused by" in said
    for policy in ("stack-components", "artifact-store-protected", "no-local-component", "clean-commit"):
        assert f"- {policy} (" in said
    assert not (project / "state" / "manifests").exists()


@pytest.fixture(scope="module")
def checked(project):
    """What CI gets of `mlops policy check`: the exit code and the verdicts."""
    result = mlops(project, "policy", "check", "--env", "staging", "--json")
    return result.returncode, json.loads(result.stdout)


def test_ci_gets_every_violation_and_a_bad_exit_code(checked):
    code, report = checked
    assert code == 1
    blocked = {(v["policy"], v["subject"]) for v in report["verdicts"] if v["blocks"]}
    assert ("no-local-component", "stack:staging") in blocked
    assert ("clean-commit", "deployment:training") in blocked
    # The DAG files cannot be parsed without manifests, and that is no pass.
    assert any("mlops deploy training" in problem for problem in report["problems"])


def test_our_own_pipelines_keep_every_policy_about_pipelines(checked):
    pipelines = [v for v in checked[1]["verdicts"] if v["subject"].startswith("pipeline:")]
    assert len({v["subject"] for v in pipelines}) == 4
    assert [v for v in pipelines if not v["passed"]] == []


@pytest.fixture
def in_staging(monkeypatch):
    monkeypatch.setattr(guard, "STARTED_FOR", "staging")


def start(environment="staging", without="", failed=""):
    verdicts = tuple(
        PolicyVerdict(policy=policy.id, mode="enforce", passed=policy.id != failed, message="")
        for policy in load_policies()
        if policy.id != without
    )
    return TaskStart(environment=environment, pipeline="scoring", stack="staging", verdicts=verdicts)


@pytest.mark.usefixtures("in_staging")
@pytest.mark.parametrize(
    ("task", "says"),
    [
        (start(without="clean-commit"), "clean-commit: was not evaluated"),
        (start(failed="image-by-digest"), "image-by-digest: was violated when it was deployed"),
        (start(environment="local"), "claims environment 'local', and Airflow was started for 'staging'"),
    ],
)
def test_the_bridge_refuses_a_task_before_it_runs_a_step(task, says):
    with pytest.raises(guard.TaskRefusedError, match=says):
        ask_guards(task)


@pytest.mark.usefixtures("in_staging")
def test_the_bridge_lets_a_good_deployment_run():
    ask_guards(start())


@pytest.mark.usefixtures("in_staging")
def test_a_refused_task_fails_without_a_retry():
    from airflow.sdk.exceptions import AirflowFailException

    from zenml_airflow.operators.local import ZenMLInProcessOperator

    operator = ZenMLInProcessOperator(
        task_id="load",
        group_id="scoring",
        pipeline="scoring",
        snapshot_id="8b5f9b1e-0000-4000-8000-000000000000",
        code_digest="b" * 64,
        steps=["load"],
        placed=["load"],
        environment_name="staging",
        stack_name="staging",
        verdicts=start(failed="step-limits").verdicts,
    )
    with pytest.raises(AirflowFailException, match="step-limits: was violated"):
        operator.execute({})


def test_a_manifest_edited_by_hand_is_no_manifest(tmp_path):
    path = write_manifest(manifest(), tmp_path)
    path.write_text(path.read_text().replace('"passed": true', '"passed": false'))
    with pytest.raises(ManifestError, match="was changed after it was written"):
        read_manifest(path, "training")


def test_zenml_refuses_at_run_start_whatever_the_manifest_says(project, tmp_path):
    """The manifest is forged with a checksum to fit; the snapshot is not, and ZenML itself asks about that."""
    shutil.copytree(HERE / "guarded", project / "guarded", dirs_exist_ok=True)
    stores.give_zenml(tmp_path / "state" / "zenml")
    stores.give_mlflow(tmp_path / "state")
    environment = {
        **os.environ,
        "MLOPS_PROJECT_ROOT": str(project),
        "MLOPS_STATE_DIR": str(tmp_path / "state"),
        "GUARDED_MARK": str(tmp_path / "mark"),
    }
    result = warm.run([str(HERE / "play.py")], env=environment, timeout=180)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout.strip().splitlines()[-1])
    assert found["local"] == {"error": "", "ran": True, "run": "completed"}
    assert found["staging"]["ran"] is False
    assert found["staging"]["run"] == "failed"
    for part in ("pipeline-labels (pipeline:guarded)", "no-local-component (stack:local)", "clean-commit"):
        assert part in found["staging"]["error"]


def test_the_plain_zenml_client_starts_nothing_where_policies_are_enforced(tmp_path, monkeypatch):
    from zenml.client import Client

    client = Client()
    default = client.get_stack("default")
    parts = {kind: models[0].id for kind, models in default.components.items()}
    stack = client.create_stack("production", components=parts, labels={ENVIRONMENT_LABEL: "production"})
    monkeypatch.setenv("GUARDED_MARK", str(tmp_path / "mark"))
    monkeypatch.syspath_prepend(str(HERE))
    from guarded.pipeline import guarded

    monkeypatch.setattr("guarded.pipeline.MARK", str(tmp_path / "mark"))
    try:
        client.activate_stack(stack.id)
        with pytest.raises(Exception, match="init hook") as error:
            guarded()
        assert "are started by Airflow" in str(error.value.__cause__)
        assert not (tmp_path / "mark").exists()
    finally:
        client.activate_stack(default.id)
        client.delete_stack(stack.id)
    guarded()
    assert (tmp_path / "mark").exists()
