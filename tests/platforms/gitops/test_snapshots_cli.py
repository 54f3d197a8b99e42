"""``mlops snapshots`` and ``mlops run --via airflow``, on the stores and the Airflow of the lab."""

import json
import signal
import subprocess
import sys

import pytest
from gitops_lab import wait

pytestmark = [pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def mlops(lab):
    """The command line in the team's checkout; returns the process that ended."""

    def start(*arguments):
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "zenml_mlops.cli.app", *arguments],
            cwd=lab.root,
            env={**lab.environment, "MLOPS_PROJECT_ROOT": str(lab.work), "COLUMNS": "300"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(*arguments):
        process = start(*arguments)
        process.out, process.err = process.communicate(timeout=600)
        return process

    run.start = start
    return run


@pytest.fixture(scope="module")
def snapshots(lab, mlops):
    """What is listed, the newest first; one of them was made with changes that were not committed."""
    lab.edit("probe/version.py", "VERSION = 1", "VERSION = 100")
    dirty = lab.deploy()
    lab.git("checkout", "--quiet", "--", ".")
    done = mlops("snapshots", "list", "--json")
    assert done.returncode == 0, done.err
    rows = json.loads(done.out)
    assert dirty["snapshot"] in {row["name"] for row in rows}
    return rows


def test_the_list_says_what_is_deployed_and_what_was_dirty(lab, mlops, snapshots):
    manifest = json.loads((lab.work / "dags" / "manifests" / "probe.json").read_text())
    assert [row["id"] for row in snapshots if row["deployed"]] == [manifest["snapshot_id"]]
    assert [row["created"] for row in snapshots] == sorted((row["created"] for row in snapshots), reverse=True)
    dirty = json.loads(mlops("snapshots", "list", "--json", "--state", "dirty").out)
    assert dirty == [row for row in snapshots if row["dirty"]]
    assert all("-dirty-" in row["name"] for row in dirty)
    assert dirty
    commit = json.loads(mlops("snapshots", "list", "--json", "--commit", lab.code[:9]).out)
    assert [row["name"] for row in commit] == [lab.first["snapshot"]]


def test_the_difference_of_two_snapshots_names_what_was_changed(lab, mlops, snapshots):
    (dirty_row,) = (row for row in snapshots if row["dirty"])
    (clean_row,) = (row for row in snapshots if row["deployed"])
    dirty, clean = dirty_row["name"], clean_row["name"]
    moved = {"commit"} if dirty_row["commit"] != clean_row["commit"] else set()
    done = mlops("snapshots", "diff", clean, dirty, "--json")
    assert done.returncode == 0, done.err
    found = json.loads(done.out)["differences"]
    assert set(found) == {"code"}
    assert found["code"]["dirty"] == [False, True]
    assert set(found["code"]) == {"dirty", "digest"} | moved
    assert "differ" in mlops("snapshots", "diff", clean, clean).out
    if clean != lab.first["snapshot"]:
        changed = json.loads(mlops("snapshots", "diff", lab.first["snapshot"], clean, "--json").out)["differences"]
        assert "commit" in changed["code"]


def test_a_snapshot_shows_what_it_is_made_of(lab, mlops):
    done = mlops("snapshots", "show", lab.first["snapshot"], "--json")
    assert done.returncode == 0, done.err
    facts = json.loads(done.out)
    assert facts["code"]["commit"] == lab.code
    assert facts["steps"]["second.upstream"] == ["first"]
    unknown = mlops("snapshots", "show", "local-probe-nowhere")
    assert unknown.returncode == 1
    assert "mlops snapshots list" in unknown.err


def deployed_name(snapshots):
    return next(row["name"] for row in snapshots if row["deployed"])


def test_a_run_through_airflow_is_followed_to_its_end(lab, mlops, snapshots):
    done = mlops("snapshots", "run", deployed_name(snapshots), "--param", "go=true", "--wait")
    assert done.returncode == 0, done.out + done.err
    run_id = done.out.split("triggered probe: ")[1].split()[0]
    assert lab.api.run_state("probe", run_id) == "success"
    assert lab.said(run_id, "second")["version"] == 1


def test_a_run_that_fails_ends_the_command_with_its_error(mlops, snapshots):
    done = mlops("snapshots", "run", deployed_name(snapshots), "--param", "fail=true", "--wait")
    assert done.returncode == 1, done.out + done.err
    assert "told to fail" in done.err


def test_interrupting_the_command_leaves_the_run_alone(lab, mlops, snapshots):
    process = mlops.start("snapshots", "run", deployed_name(snapshots), "--date", "2026-01-05", "--wait")
    run_id = process.stdout.readline().split("triggered probe: ")[1].strip()
    wait("the first step runs", lambda: lab.said(run_id, "first"))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130, out + err
    assert "continues in Airflow" in out
    assert lab.api.run_state("probe", run_id) == "running"
    assert lab.said(run_id, "first")["day"] == "2026-01-05"
    lab.finish(run_id)


def test_what_airflow_would_not_run_is_refused(lab, mlops, snapshots):
    other = mlops("snapshots", "run", lab.first["snapshot"])
    if lab.first["snapshot"] != deployed_name(snapshots):
        assert other.returncode == 1
        assert deployed_name(snapshots) in other.err.replace("\n", "")
    param = mlops("snapshots", "run", deployed_name(snapshots), "--param", "gone=1")
    assert param.returncode == 1
    assert "has no param 'gone'" in param.err
    kind = mlops("snapshots", "run", deployed_name(snapshots), "--param", "go=perhaps")
    assert "is of type boolean" in kind.err
    missing = mlops("run", "training", "--via", "airflow")
    assert missing.returncode == 1
    assert "no DAG that runs the pipeline 'training'" in missing.err
    lab.pause("probe")
    paused = mlops("snapshots", "run", deployed_name(snapshots))
    lab.api.unpause("probe")
    assert paused.returncode == 1
    assert "is paused" in paused.err
