"""What counts as the commit of a deployment, and what a snapshot is called after it."""

import subprocess

import pytest

from zenml_airflow.contracts.provenance import Provenance
from zenml_airflow.deploy.deploy import git_state, snapshot_name
from zenml_airflow.manifest.manifest import CodeRef

GENERATED = "dags/manifests"
COMMIT, DIGEST = "a1b2c3d4e5f60718" + "0" * 24, "f" * 64


@pytest.fixture
def repo(tmp_path):
    def git(*arguments):
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-C", str(tmp_path), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def commit(path, text, message="change"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
        git("add", "--all")
        git("commit", "--quiet", "--message", message)
        return git("rev-parse", "HEAD")

    git("init", "--quiet", "--initial-branch=main")
    return tmp_path, git, commit


def test_manifests_are_no_change_of_code(repo):
    root, _, commit = repo
    code = commit("dags/a.py", "1")
    (root / GENERATED).mkdir()
    (root / GENERATED / "training.json").write_text("{}")
    assert git_state(root, GENERATED) == Provenance(commit=code, dirty=False)
    deployed = commit(f"{GENERATED}/training.json", "{}")
    assert git_state(root, GENERATED) == Provenance(commit=code, dirty=False)
    assert git_state(root).commit == deployed
    assert commit("dags/a.py", "2") == git_state(root, GENERATED).commit


def test_a_merge_is_the_commit_of_what_it_brings(repo):
    root, git, commit = repo
    commit("dags/a.py", "1")
    git("checkout", "--quiet", "-b", "feature")
    feature = commit("dags/a.py", "2")
    git("checkout", "--quiet", "main")
    commit(f"{GENERATED}/training.json", "{}")
    git("merge", "--quiet", "--no-ff", "--message", "merge", "feature")
    assert git_state(root, GENERATED).commit == git("rev-parse", "HEAD") != feature


def test_any_other_change_makes_the_checkout_dirty(repo):
    root, _, commit = repo
    commit("dags/a.py", "1")
    (root / "dags" / "b.py").write_text("untracked")
    assert git_state(root, GENERATED).dirty


def test_a_folder_without_git_has_no_commit(tmp_path):
    assert git_state(tmp_path, GENERATED) == Provenance(dirty=False)


@pytest.mark.parametrize(
    ("commit", "dirty", "name"),
    [
        (COMMIT, False, "staging-training-a1b2c3d4e5f6-ffffffff"),
        (COMMIT, True, "staging-training-a1b2c3d4e5f6-dirty-ffffffff"),
        (None, False, "staging-training-nogit-ffffffff"),
    ],
)
def test_a_snapshot_is_named_by_environment_pipeline_and_commit(commit, dirty, name):
    code = CodeRef(commit=commit, dirty=dirty, digest="0" * 64)
    assert snapshot_name("staging", "training", code, DIGEST) == name
