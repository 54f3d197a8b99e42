"""Take the screenshots of the documentation from a running demo.

Usage: python docs/take_screenshots.py AIRFLOW_URL PASSWORD, in an environment with Playwright and a Chromium.
"""

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).parent / "images"


def main(url: str, password: str, chromium: str = "/usr/bin/chromium") -> None:
    """Log in to Airflow and photograph the grid of the batch inference DAG."""
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1440, "height": 860})
        page.goto(f"{url}/auth/login/")
        page.fill("input[name=username]", "admin")
        page.fill("input[name=password]", password)
        page.click("button[type=submit]")
        page.wait_for_timeout(4000)
        page.goto(f"{url}/dags/readmission_batch_inference")
        page.wait_for_timeout(5000)
        # The grid alone, its task groups open: the handle hides the details, the first toolbar button expands.
        page.mouse.click(347, 454)
        page.wait_for_timeout(1500)
        page.get_by_label("Expand all task groups").first.click()
        page.wait_for_timeout(2500)
        page.screenshot(path=str(IMAGES / "airflow-grid.png"))
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
