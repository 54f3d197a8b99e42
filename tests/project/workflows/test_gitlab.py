"""GitLab's pipeline does what the GitHub workflows do, behind environments, with no key in the file."""

import re
import subprocess
import sys

import pytest
import yaml
from command_lines import parse, shape
from labs import ROOT
from workflow_files import MAKE, MLOPS, PLATFORM, TARGETS, VARIABLE, Script, load
from workflow_files import scripts as github_scripts

PIPELINE = ROOT / ".gitlab-ci.yml"
CONTENT = yaml.safe_load(PIPELINE.read_text())
KEYWORDS = {"stages", "variables", "workflow", "default"}
GIVEN = {
    "AWS_ID_TOKEN",  # GitLab, as id_tokens asks for it
    "AWS_REGION",
    "AWS_ROLE",
    "BUNDLES_URL",
    "PLATFORM_SECRET",  # variables of the project, scoped to an environment
    "MLOPS_SIGNING_KEY",  # the platform's secret
    "BUNDLE",
    "REQUESTER",  # the job before
}


def resolved(name):
    """A job with what it extends; mappings are merged, anything else is replaced."""

    def merged(base, over):
        both = {**base, **over}
        return {
            key: merged(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
            for key, value in both.items()
        }

    job = CONTENT[name]
    base = resolved(job["extends"]) if "extends" in job else {}
    return merged(base, {key: value for key, value in job.items() if key != "extends"})


JOBS = {name: resolved(name) for name in CONTENT if name not in KEYWORDS and not name.startswith(".")}
PLATFORM_JOBS = sorted(name for name, job in JOBS.items() if "id_tokens" in job)


def script(name):
    job = JOBS[name]
    lines = [*job.get("before_script", []), *job["script"]]
    matrix = {key for entry in job.get("parallel", {}).get("matrix", []) for key in entry}
    known = {*CONTENT["variables"], *job.get("variables", {}), *matrix}
    return Script(where=name, text="\n".join(lines), variables=frozenset(known))


SCRIPTS = [script(name) for name in JOBS]
CALLS = sorted({call for found in SCRIPTS for call in found.calls(MLOPS)})


def validate(path):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.gitlab-ci", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_pipeline_has_gitlabs_form(tmp_path):
    found = validate(PIPELINE)
    assert found.returncode == 0, found.stdout
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(PIPELINE.read_text().replace("when: manual", "when: by_hand"))
    assert validate(wrong).returncode == 1


def test_the_suites_are_those_of_the_github_workflow_and_of_the_makefile():
    ((entry,),) = [JOBS["suite"]["parallel"]["matrix"]]
    github = load(ROOT / ".github/workflows/ci.yml")["jobs"]["suite"]["strategy"]["matrix"]["suite"]
    assert entry["SUITE"] == github
    platforms = {f"test-{name}" for name in PLATFORM}
    assert set(entry["SUITE"]) <= TARGETS | platforms
    assert platforms <= set(entry["SUITE"])
    assert JOBS["check"]["script"] == ["make check"]
    assert JOBS["suite"]["script"] == [".ci/services", 'make "$SUITE"']
    assert JOBS["suite"]["variables"] == {"REQUIRE_SERVICES": "1"}


@pytest.mark.parametrize("call", CALLS)
def test_the_command_line_knows_every_command(call):
    parse(call)


def test_the_commands_are_those_of_the_github_workflows():
    github = {shape(call) for found in github_scripts() for call in found.calls(MLOPS)}
    gitlab = {shape(call) for call in CALLS}
    # Each hands a job its logins in its own way.
    assert ("github secrets", frozenset()) in github
    assert ("gitlab secrets", frozenset({"--to"})) in gitlab
    assert {call for call in gitlab if call[0] != "gitlab secrets"} == {
        call for call in github if call[0] != "github secrets"
    }
    assert {call for found in SCRIPTS for call in found.calls(MAKE)} == {"check", "setup", '"$SUITE"'}


@pytest.mark.parametrize("name", PLATFORM_JOBS)
def test_what_logs_in_is_started_by_hand_behind_an_environment(name):
    job = JOBS[name]
    assert job["environment"] in {"staging", "production", "$TARGET"}
    assert [rule["when"] for rule in job["rules"]] == ["manual"]
    assert [rule["allow_failure"] for rule in job["rules"]] == [False]
    assert job["resource_group"]
    assert job["id_tokens"] == {"AWS_ID_TOKEN": {"aud": "sts.amazonaws.com"}}


def test_only_platform_jobs_log_in_and_training_takes_no_fork():
    assert len(PLATFORM_JOBS) == 6
    (rule,) = JOBS["train-staging:train"]["rules"]
    assert "$CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID" in rule["if"]
    for name in ("promote-production:export", "promote-production:promote", "promote-production:manifests"):
        assert [rule["if"] for rule in JOBS[name]["rules"]] == [
            '$CI_COMMIT_TAG && $CI_COMMIT_REF_PROTECTED == "true"'
        ]


def test_what_pushes_runs_no_code_of_the_repository():
    pushing = [found for found in SCRIPTS if "git push" in found.text]
    assert [found.where for found in pushing] == ["promote-production:manifests"]
    for found in pushing:
        assert "make " not in found.text
        assert ".venv/" not in found.text
        assert "id_tokens" not in JOBS[found.where]


@pytest.mark.parametrize("name", JOBS)
def test_a_job_has_an_end_and_no_gate_is_passed_over(name):
    job = JOBS[name]
    minutes = re.fullmatch(r"(\d+) minutes", job["timeout"])
    assert int(minutes[1]) <= 360
    assert job["rules"]
    assert "allow_failure" not in job
    assert "when" not in job
    assert not [rule for rule in job["rules"] if rule.get("allow_failure")]


def test_no_key_is_in_the_file():
    variables = [CONTENT["variables"], *(job.get("variables", {}) for job in JOBS.values())]
    names = {name for found in variables for name in found}
    assert not [name for name in names if re.search("TOKEN|KEY|PASSWORD|SECRET|CREDENTIAL", name)]
    assert "secrets" not in CONTENT
    assert not re.search(r"glpat-|AKIA|BEGIN [A-Z ]*PRIVATE KEY|ZENKEY_", PIPELINE.read_text())


@pytest.mark.parametrize("found", SCRIPTS, ids=lambda found: found.where)
def test_scripts_take_values_from_variables_alone(found):
    checked = subprocess.run(["bash", "-n"], input=found.text, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assigned = set(re.findall(r"\b([A-Z][A-Z0-9_]*)=", found.text))
    used = {name for name in VARIABLE.findall(found.text) if not name.startswith(("CI_", "GITLAB_"))}
    assert used <= found.variables | assigned | GIVEN
    # A value with a space or a star stays one word.
    for line in found.text.splitlines():
        unquoted = re.sub(r'"(?:\\.|[^"\\])*"', "", re.sub(r"'[^']*'", "", line))
        assert not VARIABLE.search(unquoted), line
