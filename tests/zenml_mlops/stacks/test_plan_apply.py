"""Plan, apply, drift, repair, half-way failure and prune, on ZenML's own store."""

import os

import pytest
import yaml
from labs import ROOT, stores, warm
from stack_files import GOOGLE
from zenml.models import FlavorUpdate

from zenml_mlops.stacks.apply import apply_stack_file, plan_stack_file
from zenml_mlops.stacks.load import check_stack_file
from zenml_mlops.stacks.plan import Action
from zenml_mlops.stacks.problems import StackFileError

ENVIRON = {"MLFLOW_PASSWORD": "first-value"}
STORE = "artifact_store"


def plan(loaded, environ=ENVIRON):
    return [str(change) for change in plan_stack_file(loaded, environ)[0]]


def apply(loaded, environ=ENVIRON, **options):
    return [str(change) for change in apply_stack_file(loaded, environ, **options)]


def test_plan_on_a_clean_server_then_apply_then_nothing(client, lab):
    planned = plan(lab())
    assert planned == [
        "+ create orchestrator flavor zenml_airflow",
        "+ create secret mlflow",
        "+ create orchestrator airflow",
        "+ create artifact_store artifacts",
        "+ create container_registry images",
        "+ create experiment_tracker mlflow",
        "+ create stack lab",
    ]
    assert client.list_stacks(name="lab").total == 0
    assert apply(lab()) == planned
    assert plan(lab()) == apply(lab()) == []
    # Whoever only reads the plan later needs no variable, and the store holds no secret in clear.
    assert plan(lab(), {}) == []
    tracker = client.get_stack_component("experiment_tracker", "mlflow")
    assert tracker.configuration["tracking_password"] == "{{mlflow.password}}"
    assert client.get_secret("mlflow").secret_values["password"] == "first-value"


def test_drift_by_hand_is_found_and_repaired(client, lab):
    apply(lab())
    store, stack = client.get_stack_component(STORE, "artifacts"), client.get_stack("lab")
    wanted = store.configuration
    client.update_stack_component(store.id, STORE, configuration={"path": "s3://elsewhere", "token": "{{a.b}}"})
    client.update_stack(stack.id, component_updates={STORE: client.get_stack("default").components[STORE][0].id})
    found = {change.target: change for change in plan_stack_file(lab(), ENVIRON)[0]}
    assert set(found) == {"artifact_store artifacts", "stack lab"}
    assert all(change.by_hand for change in found.values())
    assert found["artifact_store artifacts"].details == (
        "path: 's3://elsewhere' -> 's3://b/a'",
        "token: '{{a.b}}' -> (none)",
    )
    assert found["stack lab"].details == ("artifact_store: ['default'] -> ['artifacts']",)
    assert apply(lab()) == ["~ update artifact_store artifacts", "~ update stack lab"]
    assert client.get_stack_component(STORE, "artifacts").configuration == wanted
    assert plan(lab()) == []


def test_a_secret_that_somebody_put_in_clear_is_found_and_not_shown(client, lab):
    apply(lab())
    store = client.get_stack_component(STORE, "artifacts")
    tracker = client.get_stack_component("experiment_tracker", "mlflow")
    client.update_stack_component(store.id, STORE, configuration={"key": "AKIA-in-clear"})
    client.update_stack_component(tracker.id, "experiment_tracker", configuration={"tracking_password": "hunter2"})
    details = [detail for change in plan_stack_file(lab(), ENVIRON)[0] for detail in change.details]
    assert details == ["key: (hidden) -> (none)", "tracking_password: (hidden) -> '{{mlflow.password}}'"]
    apply(lab())
    assert "hunter2" not in str(client.get_stack_component("experiment_tracker", "mlflow").configuration)


def test_a_newer_file_is_no_drift(client, lab):
    apply(lab())
    newer = lab(("s3://b/a", "s3://b/other"))
    (change,) = plan_stack_file(newer, ENVIRON)[0]
    assert (change.action, change.by_hand) == (Action.UPDATE, False)
    assert client.get_stack_component(STORE, "artifacts").id
    apply(newer)
    assert plan(newer) == []


def test_a_new_secret_value_is_an_update_that_shows_no_value(client, lab):
    apply(lab())
    (change,) = plan_stack_file(lab(), {"MLFLOW_PASSWORD": "second-value"})[0]
    assert str(change) == "~ update secret mlflow"
    assert "value" not in str(change.details).replace("(another value)", "")
    apply(lab(), {"MLFLOW_PASSWORD": "second-value"})
    assert client.get_secret("mlflow").secret_values["username"] == "second-value"


def test_an_unresolved_secret_is_named_before_anything_is_made(client, lab):
    with pytest.raises(StackFileError) as error:
        apply(lab(), {})
    assert [str(problem.place) for problem in error.value.problems] == ["lab.yaml:4"] * 2
    assert "secret://mlflow/password is not resolved" in str(error.value)
    assert "set the variable MLFLOW_PASSWORD" in str(error.value)
    assert client.list_stack_components(name="artifacts").total == 0


def test_another_flavor_replaces_and_deletes_only_with_prune(client, lab):
    apply(lab())
    old = client.get_stack_component(STORE, "artifacts").id
    google = lab(*GOOGLE)
    assert plan(google) == ["-/+ replace artifact_store artifacts", "~ update stack lab"]
    apply(google)
    stack = client.get_stack("lab")
    assert stack.components[STORE][0].flavor_name == "gcp"
    assert client.get_stack_component(STORE, old).name.startswith("artifacts-replaced-")
    left = plan(google)
    assert left == [f"- delete artifact_store artifacts-replaced-{str(old)[:8]}"]
    assert apply(google) == []
    assert apply(google, prune=True) == left
    assert plan(google) == []
    # Replaced and pruned in one go.
    assert apply(lab(), prune=True)[-1].startswith("- delete artifact_store artifacts-replaced-")
    assert plan(lab()) == []


def test_prune_takes_only_what_was_applied_for_the_environment(client, lab):
    apply(lab())
    client.create_stack_component("by-hand", "local", STORE, {"path": ""})
    smaller = lab(
        (
            "  container_registry:\n    images: {flavor: aws, config: {uri: 1.dkr.ecr.eu-west-1.amazonaws.com}}\n",
            "",
        ),
        ("container_registry: images, ", ""),
    )
    assert plan(smaller) == ["~ update stack lab", "- delete container_registry images"]
    assert apply(smaller) == ["~ update stack lab"]
    assert apply(smaller, prune=True) == ["- delete container_registry images"]
    assert client.get_stack_component(STORE, "by-hand").name == "by-hand"
    assert "container_registry" not in {kind.value for kind in client.get_stack("lab").components}


def test_a_flavor_that_has_moved_is_updated(client, lab):
    apply(lab())
    (registered,) = client.list_flavors(type="orchestrator", name="zenml_airflow").items
    client.zen_store.update_flavor(registered.id, FlavorUpdate(source="zenml_airflow.flavor.Gone"))
    assert plan(lab()) == apply(lab()) == ["~ update orchestrator flavor zenml_airflow"]
    assert client.get_flavor(registered.id).source == registered.source
    assert plan(lab()) == []


def test_environments_do_not_take_each_others_components(client, lab, tmp_path):
    apply(lab())
    (tmp_path / "other.yaml").write_text("extends: lab.yaml\nname: other\n")
    with pytest.raises(StackFileError, match="belongs to environment 'lab' on this server"):
        plan(check_stack_file(tmp_path / "other.yaml", {}))


def mlops(state, *arguments):
    environment = {**os.environ, "MLOPS_STATE_DIR": str(state)}
    return warm.run(["-m", "zenml_mlops.cli.app", *arguments], cwd=ROOT, env=environment, timeout=300)


def test_the_commands_and_their_exit_codes(tmp_path):
    stores.give_zenml(tmp_path / "zenml")
    stores.give_mlflow(tmp_path)
    assert mlops(tmp_path, "stack", "plan").returncode == 3
    assert mlops(tmp_path, "stack", "apply").returncode == 0
    for command in ("plan", "diff", "apply"):
        result = mlops(tmp_path, "stack", command)
        assert result.returncode == 0, result.stderr
    assert mlops(tmp_path, "stack", "validate", "nowhere").returncode == 1
    for environment in ("staging", "production"):
        result = mlops(tmp_path, "stack", "validate", environment)
        assert (result.returncode, result.stderr) == (0, "")


def test_export_fills_in_and_keeps_references(tmp_path):
    exported = yaml.safe_load(mlops(tmp_path, "stack", "export", "production").stdout)
    assert exported["components"]["artifact_store"]["artifacts"]["flavor"] == "s3"
    assert exported["secrets"]["slack"] == {"token": "env://SLACK_TOKEN"}
    variables = mlops(tmp_path, "stack", "export", "production", "--format", "airflow").stdout
    assert "AIRFLOW__CORE__EXECUTOR=CeleryExecutor" in variables
    assert "AIRFLOW__OPERATORS__DEFAULT_QUEUE=default" in variables
    assert '"tracking_ref": "production"' in variables
    pools = yaml.safe_load(mlops(tmp_path, "stack", "export", "staging", "--format", "pools").stdout)
    assert pools["training"]["slots"] == 2
