"""docs/adopt.md, carried out: a project from a table, and one task of an existing DAG moved into a pipeline."""

import json
import os
import re
import shlex
import shutil
import subprocess

import pytest
from labs import ROOT, stores, warm
from labs.tables import customers

pytestmark = pytest.mark.airflow

PAGE = (ROOT / "docs" / "adopt.md").read_text()
BLOCKS = dict(re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```$', PAGE, re.M | re.S))
DAYS = ("2026-01-05", "2026-01-06")

RUN_DAG = """
import json, sys
from datetime import datetime, timezone
from zenml_mlops.environment.process import enter

settings = enter("local")
from airflow.dag_processing.dagbag import DagBag

bag = DagBag(dag_folder=sys.argv[1], bundle_name="dags")
assert not bag.import_errors, bag.import_errors
states = {}
for day in sys.argv[2:]:
    run = bag.dags["orders"].test(logical_date=datetime.fromisoformat(day).replace(tzinfo=timezone.utc))
    states[day] = {ti.task_id: str(ti.state) for ti in run.get_task_instances()}
print(json.dumps(states))
"""

ZENML_RUNS = """
import json
from zenml_mlops.environment.process import enter

enter("local")
from zenml.client import Client

print(json.dumps([
    [run.run_metadata["logical_date"][:10], run.steps["total"].outputs["total"][0].load()]
    for run in Client().list_pipeline_runs(pipeline="orders", hydrate=True)
]))
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of this checkout, with a state folder and an Airflow home of its own."""
    folder = tmp_path_factory.mktemp("adopt") / "checkout"
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in names:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    author = ("-c", "user.name=t", "-c", "user.email=t@t")
    for command in (["init", "--quiet"], ["add", "--all"], [*author, "commit", "--quiet", "--message", "All"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def run(checkout):
    home = checkout.parent
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow' / 'airflow.db'}",
        "MLOPS_DAGS_DIR": str(checkout / "adopted"),
        "MLOPS_STATE_DIR": str(home / "state"),
        "PYTHONPATH": os.pathsep.join((str(checkout), os.environ["PYTHONPATH"])),
        "ZENML_CONFIG_PATH": str(home / "zenml"),
        "ZENML_LOCAL_STORES_PATH": str(home / "zenml" / "stores"),
    }
    stores.give(home / "state")

    def python(*arguments):
        result = warm.run(arguments, cwd=checkout, env=environment)
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-5000:]
        return result.stdout

    return python


def dag_of(checkout, title):
    folder = checkout / "adopted"
    folder.mkdir(exist_ok=True)
    (folder / "orders.py").write_text(BLOCKS[title])
    return folder


def script(checkout, code):
    """A file with the code: ZenML takes the folder of the main module for the root of the sources."""
    path = checkout.parent / "script.py"
    path.write_text(code)
    return path


def totals(checkout):
    folder = checkout.parent / "state" / "totals"
    return {path.stem: json.loads(path.read_text())["total"] for path in folder.glob("*.json")}


def insert(path, after, text):
    before = path.read_text()
    assert before.count(after) == 1, f"{after!r} in {path}"
    path.write_text(before.replace(after, after + text))


def test_one_task_is_moved_and_nobody_downstream_notices(checkout, run):
    folder = dag_of(checkout, "dags/orders.py, before")
    states = json.loads(run(script(checkout, RUN_DAG), str(folder), *DAYS).splitlines()[-1])
    assert {state for found in states.values() for state in found.values()} == {"success"}
    before = totals(checkout)
    assert before == {"2026-01-05": 75.0, "2026-01-06": 78.0}

    shutil.rmtree(checkout.parent / "state" / "totals")
    (checkout / "zenml_pipelines" / "orders.py").write_text(BLOCKS["zenml_pipelines/orders.py"])
    entry = BLOCKS["zenml_pipelines/use_case/__init__.py, one more entry of pipelines"]
    insert(checkout / "zenml_pipelines" / "use_case" / "__init__.py", "    pipelines=(\n", f"{entry.rstrip()},\n")
    insert(checkout / "configs" / "base.yaml", "\npipelines:\n", BLOCKS["configs/base.yaml, below pipelines"])
    run("-m", "zenml_mlops.cli.app", "deploy", "orders")
    folder = dag_of(checkout, "dags/orders.py, after")
    states = json.loads(run(script(checkout, RUN_DAG), str(folder), *DAYS).splitlines()[-1])
    assert {"extract", "orders.total", "report"} <= set(states[DAYS[0]])
    assert {state for found in states.values() for state in found.values()} == {"success"}
    assert totals(checkout) == before
    assert sorted(json.loads(run(script(checkout, ZENML_RUNS)).splitlines()[-1])) == [
        [day, before[day]] for day in DAYS
    ]


def test_the_command_line_runs_it_too(checkout, run):
    (checkout.parent / "state" / "orders").mkdir(parents=True, exist_ok=True)
    (checkout.parent / "state" / "orders" / "2026-01-07.csv").write_text("order,amount\n1,2.5\n")
    command = re.search(r"`mlops (run orders --date 2026-01-05)`", PAGE)[1].replace("2026-01-05", "2026-01-07")
    run("-m", "zenml_mlops.cli.app", *shlex.split(command))
    assert totals(checkout)["2026-01-07"] == 2.5


def test_the_first_command_makes_a_project(checkout, run):
    (checkout / "customers.csv").write_text(customers())
    command = re.search(r"^mlops (new .*)$", PAGE, re.M)[1]
    said = run("-m", "zenml_mlops.cli.app", *shlex.split(command))
    assert "make demo SOURCE=data/churn.csv" in said
    assert (checkout.parent / "churn" / "zenml_pipelines" / "use_case" / "contract.yaml").is_file()
