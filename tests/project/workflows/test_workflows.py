"""The workflows call commands that exist, with little power, and no text of strangers in a shell line."""

import re
import shlex
import subprocess

import pytest
from command_lines import UsageError, parse
from labs import ROOT, times
from workflow_files import (
    ACTIONS,
    FILES,
    MAKE,
    MLOPS,
    PLATFORM,
    TARGETS,
    VARIABLE,
    WORKFLOWS,
    jobs,
    load,
    scripts,
    steps,
)

CALLS = sorted({call for script in scripts() for call in script.calls(MLOPS)})


def test_every_workflow_is_here():
    names = {path.stem for path in WORKFLOWS}
    assert names == {"ci", "train-staging", "promote-production", "batch-inference", "rollback", "release"}
    assert len(ACTIONS) == 1
    assert len(CALLS) >= 12


@pytest.mark.parametrize("call", CALLS)
def test_the_command_line_knows_every_command(call):
    parse(call)


@pytest.mark.parametrize(
    "call",
    [
        'backfill readmission_batch_inference --from "$FIRST"',
        'backfill readmission_batch_inference --from "$MODEL" --to "$LAST"',
        'backfill x --from "$FIRST" --to "$LAST" --force',
        "models show",
        "promote readmission_risk newest",
    ],
)
def test_the_parser_refuses_what_does_not_exist(call):
    with pytest.raises(UsageError):
        parse(call)


def test_ci_runs_what_the_ci_script_runs():
    text = (ROOT / ".ci/run").read_text()
    wanted = set(re.findall(r"^\s*make ([a-z-]+)", text, re.MULTILINE)) - {"setup"}
    if "test-platform" in wanted:
        wanted = wanted - {"test-platform"} | {f"test-{suite}" for suite in (*PLATFORM, "models")}
    content = load(ROOT / ".github/workflows/ci.yml")
    suites = content["jobs"]["suite"]["strategy"]["matrix"]["suite"]
    assert sorted(["check", *suites]) == sorted(wanted)
    called = {word for script in scripts() for call in script.calls(MAKE) for word in shlex.split(call)}
    assert called == {"check", "packages", "setup", "$SUITE"}
    assert {name for name in wanted if name.removeprefix("test-") not in PLATFORM} | {"setup"} <= TARGETS


def test_a_suite_that_plays_a_platform_is_a_folder_and_no_part_of_make_test():
    for suite in PLATFORM:
        assert list((ROOT / "tests" / "platforms" / suite).glob("test_*.py")), suite
    told = subprocess.run(["make", "-n", "test"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "--ignore=tests/platforms" in told
    assert {path.name for path in (ROOT / "tests" / "platforms").iterdir() if path.is_dir()} == set(PLATFORM)


def test_every_suite_has_a_budget_of_seconds():
    tests = ROOT / "tests"
    folders = {path.parent.relative_to(tests).as_posix() for path in tests.rglob("test_*.py")}
    assert set(times.tomllib.loads(times.BUDGET.read_text())["seconds"]) == folders


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_with_their_version(path):
    for line in re.findall(r"uses:\s*(.*)", path.read_text()):
        assert re.fullmatch(r"\./\.github/actions/[a-z-]+|[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def test_one_action_has_one_commit():
    pins = {}
    for path in FILES:
        for action, pin in re.findall(r"uses:\s*([\w./-]+)@(.*)", path.read_text()):
            pins.setdefault(action, set()).add(pin)
    assert {len(found) for found in pins.values()} == {1}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_nothing_is_allowed_but_what_a_job_names(path):
    content = load(path)
    assert content["permissions"] == {}
    assert content["concurrency"]["group"]
    assert "pull_request_target" not in content["on"]
    assert "workflow_run" not in content["on"]


@pytest.mark.parametrize(("where", "job"), jobs(), ids=[where for where, _ in jobs()])
def test_a_job_has_little_power(where, job):
    assert job["permissions"], where
    assert job["timeout-minutes"] <= 360
    granted = {name for name, level in job["permissions"].items() if level == "write"}
    assert granted <= {"id-token", "contents", "pull-requests", "packages", "attestations"}
    runs_code = any(
        "make " in step.get("run", "") or ".venv/" in step.get("run", "") or step.get("uses", "").startswith("./")
        for step in job["steps"]
    )
    # What may write to the repository or push an image runs none of its code (a Dockerfile's runs inside of the
    # build, without a token), and what logs in is behind a GitHub environment.
    assert not (runs_code and granted - {"id-token"})
    assert "id-token" not in granted or "environment" in job


def test_no_gate_is_passed_over_and_no_key_is_kept():
    for path in FILES:
        text = path.read_text()
        assert "continue-on-error" not in text
        assert "secrets." not in text.replace("mlops github secrets", "")
    for where, step, _ in steps():
        assert "always()" not in str(step.get("if", "")), where
        if "checkout@" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False, where


@pytest.mark.parametrize("script", scripts(), ids=lambda script: script.where)
def test_scripts_take_values_from_variables_alone(script):
    assert "${{" not in script.text
    checked = subprocess.run(["bash", "-n"], input=script.text, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assigned = set(re.findall(r"\b([A-Z][A-Z0-9_]*)=", script.text))
    given = {
        "GITHUB_ENV",
        "GITHUB_OUTPUT",
        "GITHUB_REPOSITORY",
        "GITHUB_RUN_ID",
        "GITHUB_SHA",
        "GITHUB_STEP_SUMMARY",
        "MLOPS_SIGNING_KEY",
        "RUNNER_TEMP",
    }
    assert set(VARIABLE.findall(script.text)) <= script.variables | assigned | given
    # A value with a space or a star stays one word.
    for line in script.text.splitlines():
        unquoted = re.sub(r'"(?:\\.|[^"\\])*"', "", re.sub(r"'[^']*'", "", line))
        assert not VARIABLE.search(unquoted), line
