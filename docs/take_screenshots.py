"""Take the pictures of the documentation that show a demo, from one of its own: `make screenshots`.

The demo runs in a temporary state folder, on ports of its own; beside it, other local runs go on undisturbed.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import expect, sync_playwright

from zenml_mlops.cli.chromium import FLAGS, NoBrowserError, find_chromium

DAY = "2026-01-11"
IMAGES = Path(__file__).parent / "images"
PATIENCE = 90_000
"""Milliseconds that a page may take."""


@dataclass(frozen=True)
class Demo:
    """A demo that runs: address of its Airflow, password of its admin, its state folder, its command line."""

    url: str
    password: str
    state: Path
    mlops: Callable[..., str]


@contextmanager
def running_demo(source: str) -> Iterator[Demo]:
    """Run the demo and say where it is; stop everything at the end."""
    with TemporaryDirectory(prefix="screenshots-") as state:
        airflow, mlflow = _free_ports(2)
        others = ("AIRFLOW", "MLFLOW_", "MLOPS_", "ZENML_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(others)} | {
            "MLOPS_STATE_DIR": state,
            "MLOPS_AIRFLOW_PORT": str(airflow),
            "MLOPS_MLFLOW_PORT": str(mlflow),
        }

        def mlops(*words: str, output: int | None = None) -> str:
            command = [sys.executable, "-m", "zenml_mlops.cli.app", *words]
            return subprocess.run(command, env=environment, stdout=output, text=True, check=True).stdout

        try:
            mlops("demo", "--source", source)
            password = mlops("password", output=subprocess.PIPE).strip()
            yield Demo(f"http://127.0.0.1:{airflow}", password, Path(state), mlops)
        finally:
            mlops("down")


def pages(demo: Demo) -> dict[str, Path]:
    """The report of a day, and the lineage of a prediction, as files; by name of their picture."""
    from zenml_mlops.data.partitions import read_predictions
    from zenml_pipelines.use_case.contract import CONTRACT

    demo.mlops("run", "monitoring", "--date", DAY)
    report = json.loads(demo.mlops("report", "open", "--date", DAY, "--json", output=subprocess.PIPE))["page"]
    scored = read_predictions(str(demo.state / "predictions"), date.fromisoformat(DAY))
    highest = int(scored.loc[scored["risk"].idxmax(), CONTRACT.row_id])
    lineage = demo.state / "lineage.html"
    demo.mlops("trace", "--prediction", f"{DAY}/{highest}", "--html", str(lineage))
    return {"monitoring-report": Path(report), "lineage-picture": lineage}


def photograph(demo: Demo, chromium: str) -> None:
    """Photograph the grid of the batch inference DAG, a day's report, and a prediction's lineage."""
    expect.set_options(timeout=PATIENCE)
    url, password = demo.url, demo.password
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        page = browser.new_page(
            viewport={"width": 1440, "height": 860}, locale="en-US", timezone_id="UTC", color_scheme="light"
        )
        page.set_default_timeout(PATIENCE)
        page.goto(f"{url}/auth/login/")
        page.fill("input[name=username]", "admin")
        page.fill("input[name=password]", password)
        page.click("button[type=submit]")
        page.wait_for_url(lambda where: "/auth/login" not in where)
        page.goto(f"{url}/dags/readmission_batch_inference")
        expand = page.get_by_label("Expand all task groups").first
        expect(expand).to_be_visible()
        expect(page.get_by_test_id("skeleton")).to_have_count(0)
        expand.click()
        page.wait_for_timeout(2500)
        page.screenshot(path=str(IMAGES / "airflow-grid.png"))
        for name, file in pages(demo).items():
            page.goto(file.as_uri())
            page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true })")
            page.wait_for_timeout(500)
            page.screenshot(path=str(IMAGES / f"{name}.png"))
        browser.close()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def main(source: str = "auto") -> None:
    """Renew the pictures.

    Args:
        source: Data of the demo, as for `mlops demo --source`.
    """
    try:
        # Before minutes are spent on what it would look at.
        chromium = find_chromium()
    except NoBrowserError as reason:
        sys.exit(f"Error: {reason}")
    with running_demo(source) as demo:
        photograph(demo, chromium)


if __name__ == "__main__":
    main(*sys.argv[1:])
