"""Airflow's UI, as a person uses it."""

from contextlib import contextmanager
from urllib.parse import quote

from playwright.sync_api import expect, sync_playwright

from zenml_mlops.cli.chromium import FLAGS, find_chromium

PATIENCE = 90_000
"""Milliseconds that a page may take: two cores share Airflow, its tasks and the browser."""


@contextmanager
def opened(url, user, password, profile):
    """The UI with somebody logged in."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            str(profile),
            executable_path=find_chromium(),
            args=list(FLAGS),
            viewport={"width": 1280, "height": 800},
            locale="en-US",
            timezone_id="UTC",
            color_scheme="light",
        )
        browser.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        pages = AirflowPages(browser.new_page(), url)
        pages.log_in(user, password)
        yield pages
        browser.close()


class AirflowPages:
    """One window."""

    def __init__(self, page, url):
        self.page = page
        self.url = url

    def log_in(self, user, password):
        self.page.goto(f"{self.url}/auth/login/")
        self.page.fill("input[name=username]", user)
        self.page.fill("input[name=password]", password)
        self.page.click("button[type=submit]")
        self.page.wait_for_url(lambda where: "/auth/login" not in where)

    def open_run(self, dag, run, tab=""):
        self.page.goto(f"{self.url}/dags/{dag}/runs/{quote(run, safe='')}/{tab}")

    def open_task(self, dag, run, task, tab=""):
        self.page.goto(f"{self.url}/dags/{dag}/runs/{quote(run, safe='')}/tasks/{task}/{tab}")

    def open_required_actions(self):
        self.page.goto(f"{self.url}/required_actions")

    def follow(self, text):
        self.page.get_by_role("link", name=text).first.click()

    def give_reason(self, text):
        self.page.locator("[name=element_reason]").fill(text)

    def answer(self, option):
        """Choose an option; fails where Airflow does not take the answer."""
        with self.page.expect_response(lambda response: response.request.method == "PATCH") as answered:
            self.page.get_by_test_id(f"hitl-option-{option}").click()
        assert answered.value.ok, f"{answered.value.status} {answered.value.text()}"

    def sees(self, text):
        """Wait until a text can be seen."""
        expect(self.page.get_by_text(text).first).to_be_visible()

    def shoot(self, path):
        """Take a picture once texts and data have arrived."""
        # An open page asks Airflow again and again, so the network is never idle for good: one look is enough.
        self.page.wait_for_load_state("load")
        expect(self.page.get_by_test_id("skeleton")).to_have_count(0)
        self.page.screenshot(path=str(path))
