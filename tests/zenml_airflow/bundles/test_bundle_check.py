"""What keeps a Git bundle at its last good commit: how a folder of DAG files is judged."""

import pytest

from zenml_airflow.bundles.check import WHOLE, check_folder

pytestmark = pytest.mark.airflow

DAG_FILE = """
from datetime import datetime
from airflow.sdk import DAG
from airflow.providers.standard.operators.empty import EmptyOperator

with DAG({name!r}, schedule=None, start_date=datetime(2026, 1, 1)):
    EmptyOperator(task_id="nothing"{arguments})
"""


def write(folder, name, arguments="", first=""):
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(first + DAG_FILE.format(name=name, arguments=arguments))


def test_each_file_that_airflow_cannot_schedule_is_named(tmp_path):
    folder = tmp_path / "dags"
    write(folder, "good")
    write(folder, "broken", first="import no_such_module\n")
    write(folder, "unserializable", arguments=", params={'x': object()}")
    found = check_folder(folder, "dags", timeout=120)
    assert set(found) == {"broken.py", "unserializable.py"}
    assert "no_such_module" in found["broken.py"]


@pytest.mark.parametrize(
    ("first", "timeout", "message"),
    [
        ("import os\nos._exit(7)\n", 120, "exit code 7"),
        ("import time\ntime.sleep(60)\n", 4, "not parsed within 4 s"),
    ],
)
def test_a_file_that_ends_or_holds_the_process_is_an_error_of_the_whole(tmp_path, first, timeout, message):
    write(tmp_path / "dags", "bad", first=first)
    found = check_folder(tmp_path / "dags", "dags", timeout=timeout)
    assert set(found) == {WHOLE}
    assert message in found[WHOLE]


def test_a_commit_without_the_folder_is_refused(tmp_path):
    assert "no folder dags/" in check_folder(tmp_path / "dags", "dags", timeout=1)[WHOLE]
