"""Files that the forge and Git read: what they name is there, and their checks find fault with bad ones."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from labs import ROOT

from zenml_airflow.contracts.enums import Launcher

GITHUB = ROOT / ".github"
DEPENDABOT = yaml.safe_load((GITHUB / "dependabot.yml").read_text())["updates"]
OWNERS = [line.split() for line in (GITHUB / "CODEOWNERS").read_text().splitlines() if line[:1] not in ("", "#")]
FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
MAKEFILE = (ROOT / "Makefile").read_text()
BIN = Path(sys.executable).parent
SLIPS = {
    "vendor.dependabot": {
        "version": 2,
        "updates": [{"package-ecosystem": "uv", "schedule": {"interval": "weekly"}}],
    },
    "vendor.github-issue-forms": {"name": "x", "description": "y", "body": [{"type": "textfield"}]},
    "vendor.github-issue-config": {"blank_issues_enabled": "perhaps"},
}


@pytest.mark.parametrize("schema", SLIPS)
def test_a_file_with_a_slip_is_refused_by_what_make_check_runs(tmp_path, schema):
    assert f"check-jsonschema --builtin-schema {schema} " in MAKEFILE
    slip = tmp_path / "slip.json"
    slip.write_text(json.dumps(SLIPS[schema]))
    command = [BIN / "check-jsonschema", "--builtin-schema", schema, slip]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr


def directories(ecosystem):
    (entry,) = [one for one in DEPENDABOT if one["package-ecosystem"] == ecosystem]
    return {ROOT / folder.strip("/") for folder in entry.get("directories", [entry.get("directory")])}


def test_every_lock_every_action_and_every_image_is_looked_after():
    locks = {ROOT, *(path.parent for path in (ROOT / "docker").rglob("*.in"))}
    assert directories("uv") == locks
    assert directories("github-actions") == {ROOT, *(path.parent for path in GITHUB.glob("actions/*/action.yml"))}
    assert directories("docker-compose") == {ROOT}
    # Dependabot reads no image that is an argument, so an entry for the Dockerfiles would do nothing.
    bases = [re.findall(r"^FROM (\S+)", path.read_text(), re.M) for path in (ROOT / "docker").glob("*/Dockerfile")]
    assert all(base.startswith("${") or ":" not in base for found in bases for base in found)
    assert {one["package-ecosystem"] for one in DEPENDABOT} == {"uv", "github-actions", "docker-compose"}


def test_updates_wait_and_come_in_groups():
    for entry in DEPENDABOT:
        assert entry["cooldown"]["default-days"] >= 7
        assert entry["groups"]


def test_what_is_left_alone_is_what_the_platform_fixes():
    (entry,) = [one for one in DEPENDABOT if one["package-ecosystem"] == "uv"]
    ignored = {one["dependency-name"]: one.get("update-types") for one in entry["ignore"]}
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert ignored["zenml"] is None
    assert any(one.startswith("zenml[local]==") for one in asked)
    assert "version-update:semver-minor" in ignored["apache-airflow"]
    assert any(re.fullmatch(r"apache-airflow>=3\.\d+\.\d+,<3\.\d+", one) for one in asked)


def test_what_code_owners_own_is_there_and_has_one_owner():
    assert {"/governance/", "/packages/", "/stacks/", "/.github/", "/docker/"} <= {place for place, *_ in OWNERS}
    for place, *owners in OWNERS:
        assert (ROOT / place.strip("/")).is_dir(), place
        assert len(owners) == 1, place
        assert re.fullmatch(r"@[a-z-]+/[a-z-]+", owners[0])
    (owner,) = {owners[0] for _, *owners in OWNERS}
    assert f"`{owner}`" in (ROOT / "docs" / "github-workflows.md").read_text()


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_asks_for_what_is_needed(path):
    form = yaml.safe_load(path.read_text())
    fields = [one for one in form["body"] if one["type"] != "markdown"]
    assert len({one["id"] for one in fields}) == len(fields)
    assert len({one["attributes"]["label"] for one in fields}) == len(fields)
    assert any(one.get("validations", {}).get("required") for one in fields)
    for one in fields:
        if one.get("id") == "launcher":
            assert one["attributes"]["options"] == [*(launcher.value for launcher in Launcher), "without Airflow"]


def test_there_are_a_form_for_bugs_and_one_for_features():
    assert [path.stem for path in FORMS] == ["bug", "feature"]


@pytest.mark.parametrize("name", [".github/PULL_REQUEST_TEMPLATE.md", "SECURITY.md", "CONTRIBUTING.md"])
def test_what_contributors_read_names_targets_and_pages_that_exist(name):
    text = (ROOT / name).read_text()
    for target in re.findall(r"`make ([a-z][a-z-]*)[ `]", text):
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), f"{name}: make {target}"
    for link in re.findall(r"\]\((?![a-z]+:)([^)#]+)", text):
        assert ((ROOT / name).parent / link).exists(), f"{name}: {link}"
    for page in re.findall(r"`((?:docs/)?[\w-]+\.md)`", text):
        assert (ROOT / page).exists() or page == "CHANGELOG.md", f"{name}: {page}"


def test_a_hook_is_a_locked_program():
    (repository,) = HOOKS
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        program, *_ = hook["entry"].split()
        assert program.startswith(".venv/bin/"), hook["id"]
        assert (ROOT / program).is_file(), hook["id"]


BAD = {
    "ruff": ("dags/one.py", "import os\nprint(undefined)\n"),
    "ruff-format": ("dags/two.py", "x = { 'a':1 }\n"),
    "check-yaml": ("configs/bad.yaml", "a: [\n"),
    "check-toml": ("bad.toml", "a = \n"),
    "check-json": ("bad.json", "{\n"),
    "end-of-file-fixer": ("end.md", "no end"),
    "trailing-whitespace": ("space.md", "space \n"),
    "check-merge-conflict": ("conflict.md", "<<<<<<< HEAD\n=======\n>>>>>>> theirs\n"),
    "check-added-large-files": ("large.bin", "\0" * 1_100_000),
    "detect-private-key": ("key.txt", "-----BEGIN " + "OPENSSH PRIVATE KEY-----\n"),
    "zizmor": (".github/workflows/bad.yml", "on: push\njobs: {a: {runs-on: x, steps: [{uses: a/b@main}]}}\n"),
}


def git(folder, *arguments):
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with this one's hooks, in which nothing is wrong yet."""
    folder = tmp_path / "repository"
    (folder / ".github/workflows").mkdir(parents=True)
    for name in (".pre-commit-config.yaml", ".github/zizmor.yml", ".github/workflows/ci.yml", "pyproject.toml"):
        shutil.copyfile(ROOT / name, folder / name)
    (folder / ".venv").mkdir()
    (folder / ".venv/bin").symlink_to(BIN)
    (folder / ".gitignore").write_text("/.venv/\n")
    for name in [name for name in os.environ if name.startswith(("GIT_", "PRE_COMMIT"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path / "home"))
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    return folder


def hooks(folder):
    """What each hook makes of what is staged, by its id."""
    command = [BIN / "pre-commit", "run", "--color", "never", "--verbose"]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout
    parts = re.findall(
        r"\.(Passed|Failed)\n- hook id: (\S+)|\(no files to check\)(Skipped)\n- hook id: (\S+)", said
    )
    return {passed or skipped: result or other for result, passed, other, skipped in parts}


def test_every_hook_finds_its_fault_and_passes_what_is_right(repository):
    assert "Failed" not in hooks(repository).values()
    for name, text in BAD.values():
        path = repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(repository, "add", "--all")
    found = hooks(repository)
    assert found == dict.fromkeys(BAD, "Failed")
    assert set(found) == {hook["id"] for hook in HOOKS[0]["hooks"]}
