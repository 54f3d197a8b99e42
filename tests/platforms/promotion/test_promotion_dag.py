"""Every end of a promotion, on a real Airflow: approvals answered through its API as its UI does."""

import pytest
from promotion_airflow import PRODUCTION, WAITING

from zenml_mlops.airflow_api.api import AirflowApiError

pytestmark = [pytest.mark.timeout(1500)]


def test_an_approval_promotes_and_is_recorded_with_person_reason_and_runs(lab):
    run = lab.wait_asked("approved")
    asked = lab.required_action("approved", run)
    assert asked["subject"] == "Promote approved version 2 to production?"
    assert "0.2500 against 0.2000" in asked["body"]
    assert "**better**" in asked["body"]
    assert asked["options"] == ["Approve", "Reject"]
    assert asked["defaults"] == ["Reject"]
    assert [user["id"] for user in asked["assigned_users"]] == ["admin"]
    lab.respond("approved", run, "Approve", "Ranks better in every group.")
    _, tasks = lab.wait_end("approved", run)
    assert set(tasks.values()) == {"success"}
    state = lab.ask("state", "approved")
    assert state["stages"] == {"1": "archived", "2": "production"}
    (decision,) = state["decisions"]
    assert decision[:4] == [2, True, "airflow-user:admin", "Ranks better in every group."]
    last = state["history"][-1]
    assert (last["by"], last["why"]) == ("airflow-user:admin", "Ranks better in every group.")
    comparison = lab.value("approved", run, "decision")["comparison_run"]
    assert last["links"] | {"dag_run": f"approved/{run}", "comparison_run": comparison} == last["links"]
    (event,) = [one for one in lab.events(PRODUCTION) if one["source_dag_id"] == "approved"]
    assert (event["extra"]["version"], event["extra"]["previous"]) == (2, 1)
    assert lab.value("approved", run, "notification")["outcome"] == "promoted"


def test_a_rejection_keeps_the_version_out_of_later_runs_too(lab):
    run = lab.wait_asked("turned_down")
    lab.respond("turned_down", run, "Reject", "Worse for the oldest patients.")
    _, tasks = lab.wait_end("turned_down", run)
    assert (tasks["approval"], tasks["promote"], tasks["notification"]) == ("success", "skipped", "success")
    state = lab.ask("state", "turned_down")
    assert state["stages"] == {"1": "production", "2": None}
    assert state["decisions"][0][:4] == [2, False, "airflow-user:admin", "Worse for the oldest patients."]
    assert lab.value("turned_down", run, "notification")["outcome"] == "rejected"
    again = lab.api.trigger("turned_down")
    lab.wait("it is no candidate", lambda: lab.tasks("turned_down", again).get("candidate") == "deferred")
    assert not [one for one in lab.events(PRODUCTION) if one["source_dag_id"] == "turned_down"]


def test_without_an_answer_in_time_it_is_rejected(lab):
    run, tasks = lab.wait_end("impatient")
    assert (tasks["approval"], tasks["promote"], tasks["notification"]) == ("success", "skipped", "success")
    state = lab.ask("state", "impatient")
    assert state["stages"] == {"1": "production", "2": None}
    assert state["decisions"][0][:4] == [2, False, f"airflow:impatient/{run}", "Nobody answered within 0:00:30."]
    assert lab.value("impatient", run, "notification")["outcome"] == "timed out"
    with pytest.raises(AirflowApiError, match="409"):
        lab.respond("impatient", run, "Approve", "Too late to be heard.")


def test_an_approval_needs_a_reason_and_is_asked_for_again(lab):
    run = lab.wait_asked("no_reason")
    lab.respond("no_reason", run, "Approve", "ok")
    lab.wait_end("no_reason", run)
    assert lab.tasks("no_reason", run)["approval"] == "failed"
    assert lab.ask("state", "no_reason")["stages"] == {"1": "production", "2": None}
    body = {"dry_run": False, "dag_run_id": run, "task_ids": ["approval"], "include_downstream": True}
    lab.api.request("POST", "dags/no_reason/clearTaskInstances", json={**body, "only_failed": False})
    lab.wait_asked("no_reason", run)
    lab.respond("no_reason", run, "Approve", "Because it is better.")
    assert lab.wait_end("no_reason", run)[1]["promote"] == "success"
    assert lab.ask("state", "no_reason")["stages"] == {"1": "archived", "2": "production"}


def test_a_candidate_that_entered_the_stage_meanwhile_is_not_asked_about_any_longer(lab):
    run = lab.wait_asked("moved")
    lab.ask("promote", "moved", 2)
    _, tasks = lab.wait_end("moved", run)
    assert (tasks["approval"], tasks["promote"], tasks["notification"]) == ("skipped", "skipped", "success")
    outcome = lab.value("moved", run, "notification")
    assert outcome["outcome"] == "superseded"
    assert "was moved meanwhile, from no stage to production" in outcome["text"]
    state = lab.ask("state", "moved")
    assert state["decisions"] == []
    assert [one["by"] for one in state["history"]] == ["user:command"] * 2


def test_a_second_candidate_ends_the_first_approval_only_if_it_is_good_enough(lab):
    first = lab.wait_asked("second")
    assert lab.ask("add", "second", "worse") == 3
    poor = lab.api.trigger("second")
    _, tasks = lab.wait_end("second", poor)
    assert (tasks["decision"], tasks["approval"]) == ("success", "skipped")
    assert lab.value("second", poor, "notification")["outcome"] == "not accepted"
    assert lab.tasks("second", first)["approval"] == "deferred"
    assert lab.ask("add", "second", "better") == 4
    good = lab.api.trigger("second")
    _, tasks = lab.wait_end("second", first)
    assert (tasks["approval"], tasks["promote"]) == ("skipped", "skipped")
    assert "is superseded by version 4" in lab.value("second", first, "notification")["text"]
    lab.wait_asked("second", good)
    lab.respond("second", good, "Approve", "The better of the two.")
    lab.wait_end("second", good)
    assert lab.ask("state", "second")["stages"] == {"1": "archived", "2": None, "3": None, "4": "production"}


def test_only_the_role_of_the_stage_may_answer(lab):
    by_hand = lab.api.trigger("outsider", {"version": 2, "target": "staging"})
    lab.wait_asked("outsider", by_hand)
    with pytest.raises(AirflowApiError, match="403"):
        lab.respond("outsider", by_hand, "Approve", "I may not say this.")
    assert lab.tasks("outsider", by_hand)["approval"] == "deferred"
    assert lab.ask("state", "outsider")["stages"] == {"1": "production", "2": None}


def test_a_worse_candidate_is_stopped_with_its_numbers_and_nobody_is_asked(lab):
    run, tasks = lab.wait_end("worse")
    assert (tasks["decision"], tasks["approval"], tasks["promote"]) == ("success", "skipped", "skipped")
    outcome = lab.value("worse", run, "notification")
    assert outcome["outcome"] == "not accepted"
    assert "average_precision 0.1500 against 0.2000, gain -0.0500, interval [-0.0600, -0.0400]" in outcome["text"]
    assert lab.ask("state", "worse")["stages"] == {"1": "production", "2": None}


def test_a_version_that_failed_its_gates_fails_the_run_that_names_it(lab):
    run = lab.api.trigger("named", {"version": 1})
    _, tasks = lab.wait_end("named", run)
    assert tasks["candidate"] == "failed"
    assert tasks["promote"] == "upstream_failed"
    assert "ended with status failed" in lab.api.failure("named", run)


def test_waiting_sensors_hold_no_worker(lab):
    """Five times as many wait as may run at once; all other stories went on beside them."""
    states = lab.wait(
        "the crowd waits",
        lambda: (found := lab.tasks("crowd", lab.crowd)) and set(found.values()) == {"deferred"} and found,
    )
    assert len(states) == WAITING > lab.parallelism
    # The run that was begun by the event is stopped before anybody is asked: its tasks found workers.
    assert lab.wait_end("worse")[1]["decision"] == "success"
