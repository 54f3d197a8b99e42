"""Policy and waiver files: what is wrong with one is said at once and completely."""

import json
import shutil
from datetime import date

import kubernetes_validate  # noqa: F401 - brings jsonschema
import pytest
import yaml
from jsonschema import Draft202012Validator

from zenml_mlops.policy.places import governance_dir
from zenml_mlops.policy.schema import SCHEMA_FILE, Mode, PolicyFileError, json_schema, load_policies
from zenml_mlops.policy.waivers import expired, load_waivers

ONE = {
    "id": "dag-tags",
    "title": "Tags",
    "rationale": "To be found.",
    "remedy": "Add some.",
    "severity": "low",
    "scope": "dag",
    "rule": "dag_tags",
    "parameters": {"minimum": 1},
    "mode": {"local": "dry_run"},
}


def write(folder, *policies, name="own.yaml"):
    (folder / name).write_text(yaml.safe_dump({"policies": list(policies)}))
    return folder


def test_the_exported_schema_is_current_and_accepts_the_shipped_files():
    assert (governance_dir() / "policies" / SCHEMA_FILE).read_text() == json_schema()
    validator = Draft202012Validator(json.loads(json_schema()))
    for path in (governance_dir() / "policies").glob("*.yaml"):
        content = yaml.safe_load(path.read_text())
        for policy in content["policies"]:
            policy["mode"] = {k: "off" if v is False else v for k, v in policy["mode"].items()}
        validator.validate(content)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"treshold": 3}, "treshold: Extra inputs are not permitted"),
        ({"rule": "dag_flags"}, "there is no rule 'dag_flags'"),
        ({"parameters": {"minimum": 1, "max": 2}}, "parameter max: Extra inputs"),
        ({"parameters": {}}, "parameter minimum: Field required"),
        (
            {"per_environment": {"staging": {"minimum": 0}}},
            "parameter minimum: Input should be greater than 0 in staging",
        ),
        ({"scope": "pipeline"}, "judges a dag, not a pipeline"),
        ({"mode": {"local": "maybe"}}, "mode.local"),
        ({"id": "DAG_TAGS"}, "id: String should match"),
    ],
)
def test_a_wrong_policy_is_refused_with_its_place(tmp_path, change, says):
    with pytest.raises(PolicyFileError, match=r"The policies cannot be used:") as error:
        load_policies(write(tmp_path, {**ONE, **change}))
    assert says in str(error.value)
    assert "own.yaml" in str(error.value)


def test_every_problem_of_every_file_is_said_at_once(tmp_path):
    write(tmp_path, {**ONE, "rule": "nothing"}, name="a.yaml")
    write(tmp_path, {**ONE, "severity": "huge"}, name="b.yaml")
    write(tmp_path, ONE, name="c.yaml")
    write(tmp_path, ONE, name="d.yaml")
    (tmp_path / "e.yaml").write_text("policies: [")
    with pytest.raises(PolicyFileError) as error:
        load_policies(tmp_path)
    for problem in ("a.yaml", "b.yaml", "'dag-tags' is used twice", "e.yaml is not valid YAML"):
        assert problem in str(error.value)


def test_no_policies_is_an_error_and_not_a_permission(tmp_path):
    with pytest.raises(PolicyFileError, match="no policy file"):
        load_policies(tmp_path)


def test_a_bare_off_is_the_mode_and_no_boolean(tmp_path):
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"policies": [ONE]}).replace("local: dry_run", "local: off"))
    assert load_policies(tmp_path)[0].mode_in("local") is Mode.OFF


def test_a_changed_file_is_read_again(tmp_path):
    write(tmp_path, ONE)
    assert load_policies(tmp_path)[0].title == "Tags"
    write(tmp_path, {**ONE, "title": "More tags"})
    assert load_policies(tmp_path)[0].title == "More tags"


def waivers(path, *entries):
    target = path / "waivers.yaml"
    target.write_text(yaml.safe_dump({"waivers": list(entries)}))
    return load_waivers(load_policies(), target)


GRANTED = {
    "policy": "dag-tags",
    "subject": "dag:nightly",
    "who": "j.doe",
    "why": "Moves next week.",
    "until": date(2026, 3, 1),
}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"policy": "dag-flags"}, r"policies that do not exist: \['dag-flags'\]"),
        ({"forever": True}, "forever: Extra inputs"),
        ({"until": "never"}, "until"),
        ({"why": "because"}, "why: String should have at least 10"),
        ({"subject": "nightly"}, "subject"),
    ],
)
def test_a_wrong_waiver_is_an_error(tmp_path, change, says):
    with pytest.raises(PolicyFileError, match=says):
        waivers(tmp_path, {**GRANTED, **change})


def test_a_waiver_past_its_date_is_named(tmp_path):
    granted = waivers(tmp_path, GRANTED)
    assert expired(granted, date(2026, 3, 1)) == []
    (sentence,) = expired(granted, date(2026, 3, 2))
    assert "'dag-tags' for 'dag:nightly' ended on 2026-03-01 (by j.doe" in sentence


def test_the_shipped_waivers_are_valid_and_none_has_ended():
    assert expired(load_waivers(load_policies()), date.today()) == []


def test_a_missing_policy_folder_is_no_permission(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    shutil.rmtree(gone)
    with pytest.raises(PolicyFileError):
        load_policies(gone)
