"""The page "Models" within Airflow's UI: from the navigation to the stages, the days, and the pending approval.

What it shows was promoted, scored and rolled back by the tests of the promotion, and the next candidate waits.

Set WRITE_SCREENSHOTS=1 to write a picture to `docs/images/`.
"""

import json
import os

import pytest
from labs import ROOT
from playwright.sync_api import expect
from promotion_lab import BETTER, DAYS, ENDED, LAST, MODEL, PROMOTION, SCORING

IMAGES = ROOT / "docs" / "images"
WRITE = os.environ.get("WRITE_SCREENSHOTS") == "1"

pytestmark = [pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def pending_approval(lab):
    """Days that were scored, failed, are missing and run, and a candidate that waits for a person."""
    for day in (DAYS[2], LAST):
        body = {"dag_run_id": f"day-{day}", "logical_date": f"{day}T00:00:00+00:00"}
        lab.api.request("POST", f"dags/{SCORING}/dagRuns", json=body)
    failed = f"dags/{SCORING}/dagRuns/day-{DAYS[2]}"

    def running():
        return lab.api.request("GET", failed)["state"] == "running" or None

    def marked_failed():
        """A scheduler that is at work on the run at this moment sets it to running again."""
        if lab.api.request("GET", failed)["state"] != "failed":
            lab.api.request("PATCH", failed, json={"state": "failed"})
            return None
        ended = {*ENDED, "skipped", "upstream_failed", "removed"}
        return set(lab.states(SCORING, f"day-{DAYS[2]}").values()) <= ended or None

    lab.until("the day's run", running)
    lab.until("its end", marked_failed)
    run = lab.train(estimator=BETTER)
    lab.until("the pending approval", lambda: lab.open_approvals(run) or None)
    lab.until("its end, still", marked_failed)
    return run


@pytest.fixture
def models(pages, pending_approval):
    """The page, opened from the navigation."""
    pages.page.goto(pages.url)
    pages.follow("Models")
    frame = pages.page.frame_locator("iframe[title=Models]")
    expect(frame.get_by_role("heading", name="Models")).to_be_visible()
    expect(frame.get_by_role("heading", name=MODEL)).to_be_visible()
    return frame


def test_it_shows_stages_days_and_the_pending_approval(pages, models, tmp_path):
    shown = models.get_by_role("region", name=MODEL)
    expect(shown).to_contain_text("Version 4 waits for approval to enter production")
    production = shown.locator(".stage", has_text="production").first
    expect(production).to_contain_text("version 1")
    expect(production).to_contain_text("1 gate passed")
    for day, state in zip((*DAYS, LAST), ("scored", "scored", "failed", "missing", "running"), strict=True):
        expect(shown.get_by_title(f"{day}: {state}")).to_be_visible()
    pages.shoot((IMAGES if WRITE else tmp_path) / "models-page.png")


def test_it_is_as_dark_as_the_ui_around_it(pages, models):
    root = models.locator("html")
    expect(root).to_have_attribute("data-theme", "light")
    pages.page.evaluate("document.documentElement.classList.add('dark')")
    expect(root).to_have_attribute("data-theme", "dark")


def test_its_links_leave_the_frame(pages, models, pending_approval):
    models.get_by_title(f"{DAYS[0]}: scored").click()
    pages.page.wait_for_url(f"**/dags/{SCORING}/runs/day-{DAYS[0]}**")
    pages.page.go_back()
    pages.page.frame_locator("iframe[title=Models]").get_by_role("link", name="Answer").click()
    pages.page.wait_for_url(f"**/dags/{PROMOTION}/runs/**/tasks/approval/required_actions")
    pages.sees(f"Promote {MODEL} version 4 to production?")


def test_what_leads_elsewhere_opens_a_window(pages, models):
    with pages.page.context.expect_page() as opened:
        models.get_by_role("link", name="JSON").click()
    expect(opened.value.locator("body")).to_contain_text('"environment":"local"')
    opened.value.close()


def test_the_command_line_shows_the_same(lab, pending_approval):
    answer = json.loads(lab.mlops("status", "--json").stdout)
    found = {title: section["rows"] for title, section in answer["sections"].items()}
    assert {row["state"] for row in found["services"]} <= {"healthy", "running"}
    dags = {row["dag"]: row for row in found["dags"]}
    assert (dags[PROMOTION]["state"], dags[PROMOTION]["last run"]) == ("running", pending_approval)
    assert not dags[SCORING]["paused"]
    assert [row["subject"] for row in found["required actions"]] == [f"Promote {MODEL} version 4 to production?"]
    (model,) = [row for row in found["models"] if row["model"] == MODEL]
    assert (model["production"], model["newest"]) == (1, 4)
    (partition,) = found["last partition"]
    assert (partition["day"], partition["partition"], partition["run"]) == (str(LAST), "none", "running")


def test_whoever_has_logged_out_sees_nothing(pages, models):
    pages.page.context.clear_cookies()
    answer = pages.page.goto(f"{pages.url}/zenml-models/")
    assert answer.status == 401
    assert MODEL not in pages.page.content()
