"""From a commit to a DAG run and back, on a real Airflow that follows a local bare repository.

The tests are one story and run in this order; each leaves the branch with a good commit at its head.
"""

import time

import pytest
from gitops_lab import wait

pytestmark = [pytest.mark.timeout(1200)]


def test_deploying_the_same_commit_again_makes_no_snapshot_and_no_change(lab):
    again = lab.deploy()
    assert again == lab.first
    assert lab.git("status", "--porcelain") == ""
    assert again["snapshot"].startswith(f"local-probe-{lab.code[:12]}-")
    assert len(again["all"]) == 1


def test_a_new_version_is_shown_while_a_run_in_flight_finishes_on_the_old(lab):
    old = lab.start_run()
    _, second, deployed = lab.release(2)
    assert deployed["all"] == sorted([lab.first["snapshot"], deployed["snapshot"]])
    lab.push()
    lab.wait_version(second)
    new = lab.start_run()
    lab.finish(old)
    lab.finish(new)
    owner = {"owner": "ml-platform"}
    assert lab.said(old, "tell") == {"dag": 1, "snapshot": lab.first["snapshot"], **owner}
    assert lab.said(new, "tell") == {"dag": 2, "snapshot": deployed["snapshot"], **owner}
    assert [lab.said(old, step)["version"] for step in ("first", "second")] == [1, 1]
    assert [lab.said(new, step)["version"] for step in ("first", "second")] == [2, 2]
    assert lab.run_version(old) == lab.deployed
    assert lab.run_version(new) == second
    # Airflow writes a DAG anew half a minute after it last did, at the soonest.
    wait("Airflow shows the new version", lambda: lab.newest_version() == (2, second))


def test_git_revert_rolls_the_deployment_back_without_a_deployment(lab):
    flying = lab.start_run()
    reverted = lab.revert("HEAD", "HEAD~1")
    lab.wait_version(reverted)
    back = lab.start_run()
    lab.finish(back)
    lab.finish(flying)
    assert lab.said(back, "tell")["snapshot"] == lab.first["snapshot"]
    assert lab.said(back, "second")["version"] == 1
    assert lab.said(flying, "tell")["dag"] == 2
    assert lab.said(flying, "second")["version"] == 2


def test_a_broken_dag_file_leaves_the_last_good_commit_scheduled(lab):
    flying = lab.start_run()
    good = lab.bundle_version()
    lab.edit("dags/beat.py", "with DAG(", "with NoSuchThing(")
    bad = lab.commit("break a file")
    lab.push()
    text = lab.wait_error(f"beat.py @ {bad[:12]}")
    assert "NoSuchThing" in text
    assert f"stay at commit {good[:12]}" in text
    lab.wait_beat()
    for dag_id in ("beat", "probe"):
        dag = lab.dag(dag_id)
        assert (dag["is_stale"], dag["has_import_errors"], dag["bundle_version"]) == (False, False, good), dag_id
    lab.finish(flying)
    another = lab.start_run()
    lab.finish(another)
    assert lab.run_version(another) == good
    assert list(lab.import_errors()) == [f"beat.py @ {bad[:12]}"]


def test_a_new_dag_processor_without_a_disk_finds_the_last_good_commit(lab):
    bad = lab.git("rev-parse", "HEAD")
    good = lab.bundle_version()
    assert good != bad
    parsed = lab.dag("beat")["last_parsed_time"]
    lab.replace_dag_processor()

    wait("the new DAG processor has parsed", lambda: lab.dag("beat")["last_parsed_time"] != parsed)
    assert lab.bundle_version("beat") == good
    lab.wait_error(f"beat.py @ {bad[:12]}")
    assert not lab.dag("beat")["is_stale"]
    lab.wait_beat()


def test_reverting_the_bad_commit_takes_its_error_away(lab):
    lab.wait_version(lab.revert("HEAD"), "beat")
    wait("the error is gone", lambda: lab.import_errors() == {})
    lab.wait_beat()


def test_a_bad_manifest_and_a_change_that_was_not_deployed_are_refused(lab):
    good = lab.bundle_version()
    lab.edit("dags/manifests/probe.json", '"retries": 0', '"retries": 9')
    bad = lab.commit("edit a manifest by hand")
    lab.push()
    assert "checksum" in lab.wait_error(f"probe_dag.py @ {bad[:12]}")
    lab.git("revert", "--no-edit", "HEAD")
    lab.edit("configs/base.yaml", "retries: 2 ", "retries: 3 ")
    merged = lab.commit("change the configuration")
    lab.push()
    assert "is stale" in lab.wait_error(f"probe_dag.py @ {merged[:12]}")
    assert lab.bundle_version() == good
    assert not lab.dag("probe")["is_stale"]
    lab.deploy()
    lab.commit("deploy it")
    lab.wait_version(lab.push())
    wait("the error is gone", lambda: lab.import_errors() == {})
    lab.finish(lab.start_run())


def test_airflows_own_bundle_takes_a_broken_file_off_the_schedule_and_its_runs_with_it(lab):
    """Why there is a bundle of our own; when this fails, Airflow keeps the promise by itself."""
    flying = lab.start_run("stock_flight")
    lab.wait_beat("stock_beat")
    lab.api.unpause("stock_beat")
    lab.edit("stock_dags/stock.py", "START = ", "START = no_such_name + ")
    lab.commit("break a file")
    lab.push()
    assert "no_such_name" in lab.wait_error("stock.py", "stock")

    def tasks():
        return {task["task_id"]: task["state"] for task in lab.api.tasks("stock_flight", flying)}

    (lab.state / "stock.go").touch()
    wait("the task in flight ends", lambda: tasks()["wait"] == "success")
    before = lab.beats("stock_beat")
    time.sleep(15)
    assert lab.beats("stock_beat") == before
    assert lab.dag("stock_beat") is None or lab.dag("stock_beat")["is_stale"]
    assert tasks() == {"wait": "success", "after": None}
    assert lab.api.run_state("stock_flight", flying) == "running"
    lab.wait_version(lab.revert("HEAD"), "stock_beat")
    lab.finish(flying, "stock_flight")
