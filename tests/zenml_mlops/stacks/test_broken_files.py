"""Forty ways to break a stack file; each is named with file, line and field, without a server."""

# ruff: noqa: E501

import json
import shutil

import kubernetes_validate  # noqa: F401 - brings jsonschema
import pytest
import yaml
from jsonschema import Draft202012Validator
from labs import ROOT
from stack_files import GOOD, broken

from zenml_mlops.stacks.load import check_stack_file, judge_stacks
from zenml_mlops.stacks.problems import StackFileError
from zenml_mlops.stacks.schema import json_schema

S3 = "{flavor: s3, config: {path: s3://b/a, s3_additional_kwargs: {ServerSideEncryption: AES256}}}"

# What stands in the good file, what replaces it, the line that the error must name, and what it must say.
BROKEN = {
    "unknown key": ("scheduled: lab", "scheduled: lab\nshedule: lab", "shedule", "Extra inputs are not permitted"),
    "missing key": ("scheduled: lab\n", "", 1, "scheduled: Field required"),
    "another environment's name": ("name: lab", "name: prod", "name", "is named after it"),
    "not a mapping": (GOOD, "- a\n", 1, "must hold a mapping, found list"),
    "not YAML": ("name: lab", "name: [", 3, "is not valid YAML"),
    "a tag that runs code": ("name: lab", "name: !!python/object/apply:os.getcwd []", "name", "has the tag"),
    "a key twice": ("name: lab", "name: lab\nname: lab", 2, "the key is used twice, first on line 1"),
    "an alias that holds itself": ("resources: {", "resources: &a {more: *a, ", "resources", "contains itself"),
    "empty": (GOOD, "", 1, "Field required"),
    "extends itself": ("name: lab", "extends: lab.yaml\nname: lab", "extends", "in a cycle: lab.yaml -> lab.yaml"),
    "extends in a circle": ("name: lab", "extends: other.yaml\nname: lab", "other.yaml:1", "lab.yaml -> other.yaml -> lab.yaml"),
    "extends nothing": ("name: lab", "extends: gone.yaml\nname: lab", "extends", "there is no file 'gone.yaml'"),
    "extends another folder": ("name: lab", "extends: ../lab.yaml\nname: lab", "extends", "of the same folder"),
    "unknown type of component": ("stacks:\n", "  artefact_store: {a: {flavor: s3}}\nstacks:\n", "artefact_store:", "no such type of component"),
    "unknown flavor": ("flavor: zenml_airflow", "flavor: airflo", "airflow: {", "there is no orchestrator of flavor 'airflo'"),
    "flavor of another type": (S3, "{flavor: mlflow, config: {}}", "artifacts:", "no artifact_store of flavor 'mlflow'"),
    "flavor with an unknown option": ("local: false", "locale: true", "airflow: {", "no such option; known:"),
    "a wrong scheme": ("path: s3://b/a", "path: gs://b/a", "artifacts:", "does not start with one of its supported schemes"),
    "a wrong type in a flavor": ("local: false", "local: perhaps", "airflow: {", "valid boolean"),
    "a missing option": ("path: s3://b/a, ", "", "artifacts:", "Field required"),
    "a registry with a path": ("uri: 1.dkr.ecr.eu-west-1.amazonaws.com", "uri: 1.dkr.ecr/x", "images:", "can not contain a `/`"),
    "a wrong store on Google's cloud": (S3, "{flavor: gcp, config: {path: s3://b}}", "artifacts:", "{'gs://'}"),
    "a wrong store on Azure": (S3, "{flavor: azure, config: {path: /b}}", "artifacts:", "supported schemes"),
    "a registry of Google without address": ("{flavor: aws, config: {uri: 1.dkr.ecr.eu-west-1.amazonaws.com}}", "{flavor: gcp}", "images:", "Field required"),
    "Kubernetes with an unknown option": ("flavor: zenml_airflow, config: {local: false}", "flavor: kubernetes, config: {namespace: a}", "airflow: {", "no such option"),
    "a flavor that cannot be imported": ("ManifestAirflowOrchestratorFlavor", "Gone", "orchestrator: [", "cannot be imported"),
    "a source that is no flavor": ("deploy.flavor.ManifestAirflowOrchestratorFlavor", "contracts.enums.Launcher", "orchestrator: [", "is no ZenML flavor"),
    "a stack with an unknown component": ("artifact_store: artifacts,", "artifact_store: gone,", "lab: {", "there is no artifact_store 'gone'"),
    "a stack without a store": ("artifact_store: artifacts, ", "", "lab: {", "has no artifact_store"),
    "a component without a stack": ("container_registry: images, ", "", "images:", "no stack uses it"),
    "an unknown scheduled stack": ("scheduled: lab", "scheduled: prod", "scheduled", "there is no stack 'prod'"),
    "an unknown inline stack": ("scheduled: lab", "scheduled: lab\ninline: gone", "inline", "there is no stack 'gone'"),
    "a secret in clear": ("secret://mlflow/password", "hunter2", "password:", "holds a secret in plain text"),
    "a secret in an address": ("https://mlflow.example.com", "https://me:hunter2@mlflow.example.com", "tracking_uri", "in plain text"),
    "a secret in a nested option": ("{ServerSideEncryption: AES256}", "{SSECustomerKey_secret: hunter2}", "artifacts:", "in plain text"),
    "a secret that is not declared": ("secret://mlflow/password", "secret://mlflow/pass", "password:", "secret://mlflow/pass is not resolved"),
    "a secret that is not written as one": ("secret://mlflow/password", "secret://mlflow", "password:", "write it as secret://NAME/KEY"),
    "a secret in ZenML's notation": ("secret://mlflow/password", "{{mlflow.password}}", "password:", "ZenML's own notation"),
    "a secret where the flavor validates": ("uri: 1.dkr.ecr.eu-west-1.amazonaws.com", 'uri: "secret://mlflow/password"', "images:", "takes no secret here"),
    "a variable in a component": ("secret://mlflow/password", "env://MLFLOW_PASSWORD", "password:", "would be stored in plain text"),
    "a variable that is not listed": ("env://MLFLOW_PASSWORD", "env://HOME", "mlflow: {password", "'HOME' is not among `variables`"),
    "a value among the secrets": ("env://MLFLOW_PASSWORD", "hunter2", "mlflow: {password", "String should match pattern"),
    "an unknown location": ("path: s3://b/a", 'path: "s3://${bucket}/a"', "artifacts:", "uses ${bucket}; known: ['state_dir']"),
    "an unknown executor": ("CeleryExecutor", "SequentialExecutor", "executor:", "'LocalExecutor', 'CeleryExecutor'"),
    "a setting of configs/": ("executor:", "launcher: docker\n  executor:", "launcher:", "airflow.launcher is a setting in configs/"),
    "a pool without slots": ("slots: 2", "slots: 0", "training: {", "greater than 0"),
    "a bundle of an unknown kind": ("kind: git", "kind: svn", "bundle:", "'local', 'git'"),
    "git without a connection": (", connection: git_dags", "", "bundle:", "Field required"),
    "an unknown resource": ("cpu_count: 1", "cpus: 1", "resources:", "ResourceSettings has no such field"),
    "a wrong resource": ("memory: 2GiB", "memory: much", "resources:", "String should match pattern"),
    "an unknown policy": ("weaker: {", "weaker: {no-such: dry_run, ", "policies:", "there is no such policy"),
}  # fmt: skip


def test_the_table_is_long_enough_and_the_good_file_is_good(tmp_path):
    assert len(BROKEN) >= 40
    judge_stacks(check_stack_file(broken(tmp_path, "name: lab", "name: lab"), {"state_dir": "/state"}))


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_gives_one_error_with_file_line_and_field(tmp_path, case):
    old, new, where, says = BROKEN[case]
    path = broken(tmp_path, old, new)
    with pytest.raises(StackFileError) as error:
        judge_stacks(check_stack_file(path, {"state_dir": "/state"}))
    said = str(error.value)
    assert says in said
    if case == "empty":
        return
    (problem,) = error.value.problems
    if isinstance(where, str) and ".yaml" in where:
        assert str(problem.place) == where
    else:
        lines = enumerate(path.read_text().splitlines(), 1)
        assert problem.place.line in (
            {where} if isinstance(where, int) else {n for n, text in lines if where in text}
        )
    assert "hunter2" not in said


def test_every_problem_is_said_at_once(tmp_path):
    path = broken(tmp_path, "scheduled: lab", "scheduled: prod\nshedule: lab")
    text = path.read_text().replace("s3://b/a", "gs://b/a").replace("secret://mlflow/password", "hunter2")
    path.write_text(text)
    with pytest.raises(StackFileError) as error:
        check_stack_file(path, {})
    said = str(error.value)
    assert len(said.splitlines()) == len(error.value.problems) == 4
    for part in ("shedule", "scheduled", "components.artifact_store.artifacts.config.path", "in plain text"):
        assert part in said


def test_a_problem_below_an_extended_file_names_that_file(tmp_path):
    (tmp_path / "base.yaml").write_text(GOOD.replace("name: lab", "").replace("s3://b/a", "gs://b/a"))
    (tmp_path / "lab.yaml").write_text("extends: base.yaml\nname: lab\n")
    with pytest.raises(StackFileError, match=r"^base\.yaml:\d+: components\.artifact_store"):
        check_stack_file(tmp_path / "lab.yaml", {})


def test_null_takes_away_what_a_file_extends(tmp_path):
    (tmp_path / "base.yaml").write_text(GOOD)
    (tmp_path / "lab.yaml").write_text("extends: base.yaml\nairflow: {pools: null}\n")
    assert check_stack_file(tmp_path / "lab.yaml", {}).file.airflow.pools == {}


def test_policies_refuse_a_laptops_stack_in_production(tmp_path):
    text = (ROOT / "stacks" / "local.yaml").read_text().replace("name: local", "name: production", 1)
    (tmp_path / "production.yaml").write_text(text)
    with pytest.raises(StackFileError) as error:
        judge_stacks(check_stack_file(tmp_path / "production.yaml", {"state_dir": "/state"}))
    for policy in ("stack-components", "no-local-component", "artifact-store-protected"):
        assert f"stacks.local: policy {policy}" in str(error.value)


def test_a_file_cannot_promise_more_than_the_policies_keep(tmp_path):
    shutil.copy(ROOT / "stacks" / "remote.yaml", tmp_path)
    text = (ROOT / "stacks" / "staging.yaml").read_text()
    (tmp_path / "staging.yaml").write_text(text.split("policies:")[0])
    with pytest.raises(
        StackFileError, match="promises 'enforce', and policy model-approval is 'off' in 'staging'"
    ):
        check_stack_file(tmp_path / "staging.yaml", {})


def test_the_exported_schema_is_current_and_accepts_the_shipped_files():
    assert (ROOT / "stacks" / "schema.json").read_text() == json_schema()
    validator = Draft202012Validator(json.loads(json_schema()))
    for path in (ROOT / "stacks").glob("*.yaml"):
        validator.validate(yaml.safe_load(path.read_text()))


def test_staging_and_production_differ_only_in_what_differs():
    staging, production = ((ROOT / "stacks" / f"{name}.yaml").read_text() for name in ("staging", "production"))
    same = set(production.replace("production", "staging").splitlines())
    assert set(staging.splitlines()) - same == {"policies:", '  weaker: {model-approval: "off"}'}
