"""From a worse and a better candidate to a version in production and back, as the people involved see it.

Set WRITE_SCREENSHOTS=1 to write a picture of each step to `docs/images/`.
"""

import json
import os
import time

import pytest
from labs import ROOT
from promotion_lab import BETTER, DAYS, MODEL, PROMOTION, SCORING

IMAGES = ROOT / "docs" / "images"
WRITE = os.environ.get("WRITE_SCREENSHOTS") == "1"
REASON = "Ranks better on new encounters, no group loses."

pytestmark = [pytest.mark.timeout(1500)]


@pytest.fixture
def shoot(pages, tmp_path):
    """Take a picture: for the documentation, or to be thrown away."""
    return lambda name: pages.shoot((IMAGES if WRITE else tmp_path) / f"promotion-{name}.png")


def test_a_worse_candidate_is_stopped_and_the_page_says_why(lab, pages, shoot):
    run = lab.train()
    lab.wait(PROMOTION, run)
    states = lab.states(PROMOTION, run)
    assert (states["decision"], states["approval"], states["promote"]) == ("success", "skipped", "skipped")
    outcome = lab.returned(PROMOTION, run, "notification")
    assert "version 2 is worse" in outcome["text"]
    assert "average_precision" in outcome["text"]
    pages.open_task(PROMOTION, run, "decision")
    pages.sees(f"{MODEL} version 2 is worse for production")
    pages.sees("average_precision")
    shoot("worse-stopped")
    assert lab.production() == 1


def test_the_better_one_waits_for_a_person_who_approves_it_in_the_ui(lab, pages, shoot):
    run = lab.train(estimator=BETTER)
    lab.until("the pending approval", lambda: lab.open_approvals(run) or None)
    assert lab.production() == 1
    pages.open_required_actions()
    pages.follow(f"Promote {MODEL} version 3 to production?")
    pages.sees("average_precision")
    pages.give_reason(REASON)
    shoot("approval")
    # Airflow loses an answer that comes before the end of the process that asked is known (apache/airflow#72716).
    time.sleep(10)
    pages.answer("Approve")
    lab.wait(PROMOTION, run)
    pages.open_run(PROMOTION, run)
    pages.sees("promote")
    shoot("approved")
    assert lab.production() == 3
    entered = json.loads(lab.mlops("models", "history", MODEL, "--json").stdout)
    last = next(record["plan"] for record in entered if record["plan"]["version"] == 3)
    assert last["reason"] == REASON
    assert last["actor"] == "airflow-user:admin"


def test_the_next_day_is_scored_with_it(lab, pages, shoot):
    run = lab.score(DAYS[0])
    assert lab.scored_by(DAYS[0]) == 3
    show_scores(lab, pages, run, 3)
    shoot("next-day")


def test_after_a_rollback_the_next_day_is_scored_with_the_old_one(lab, pages, shoot):
    done = lab.mlops("rollback", MODEL, "--reason", "The ward saw too many calls.").stdout
    assert "1" in done
    assert lab.production() == 1
    run = lab.score(DAYS[1])
    assert lab.scored_by(DAYS[1]) == 1
    assert lab.scored_by(DAYS[0]) == 3
    show_scores(lab, pages, run, 1)
    shoot("rolled-back")


def show_scores(lab, pages, run, version):
    """Open what the task of a day returned, which names the version."""
    task = "batch_inference.load_partition"
    assert lab.returned(SCORING, run, task)["metadata"]["batch_summary"]["model_version"] == version
    pages.open_task(SCORING, run, task, "xcom")
    pages.sees("return_value")
