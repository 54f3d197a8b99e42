"""Airflow's cluster policies, asked by Airflow itself."""

import sqlite3

import pytest
from airflow_lab import (
    BASH_TASK,
    GOOD_ARGUMENTS,
    GOOD_TASK,
    MAPPED_SENSOR,
    SENSOR_TASK,
    airflow_process,
    airflow_service,
    dag_file,
    parse,
    wait_until,
)
from labs import stores

pytestmark = pytest.mark.airflow


@pytest.fixture(scope="module")
def dags(tmp_path_factory):
    folder = tmp_path_factory.mktemp("policies") / "dags"
    dag_file(folder, "kept")
    dag_file(folder, "untagged", arguments=GOOD_ARGUMENTS.replace("'x'", ""))
    dag_file(folder, "by_default", arguments="tags=['x'], schedule='* * * * *'".replace("schedule", "description"))
    dag_file(folder, "shell", task=BASH_TASK)
    dag_file(folder, "endless", task=GOOD_TASK.replace(", execution_timeout=timedelta(minutes=1)", ""))
    dag_file(folder, "patient", task=SENSOR_TASK)
    dag_file(folder, "waiting_for_ever", task=SENSOR_TASK.replace("timeout=60, ", ""))
    dag_file(folder, "mapped", task=MAPPED_SENSOR)
    dag_file(folder, "lane", task=GOOD_TASK.replace("'nothing'", "'nothing', pool='fast_lane'"))
    dag_file(folder, "liar", task=BASH_TASK, first="import os\nos.environ['MLOPS_ENV'] = 'local'\n")
    text = (
        (folder / "kept.py")
        .read_text()
        .replace("'kept'", "'hasty'")
        .replace("schedule=None", "schedule='* * * * *'")
    )
    (folder / "hasty.py").write_text(text)
    return folder


@pytest.fixture(scope="module")
def in_staging(dags):
    return parse(dags, "staging")


def test_a_dag_that_keeps_the_policies_is_scheduled(in_staging):
    assert in_staging["dags"] == ["kept", "patient"]
    assert not {"kept", "patient"} & in_staging["errors"].keys()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("untagged", ["dag-tags (dag:untagged)", "Add tags"]),
        ("by_default", ["dag-owner", "dag-active-runs", "dag-callbacks"]),
        ("hasty", ["dag-schedule (dag:hasty): it runs every 60 s"]),
        ("shell", ["task-operator (task:shell.around)", "BashOperator", "ZenMLTaskGroup"]),
        ("endless", ["task-limit (task:endless.nothing)", "execution_timeout"]),
        ("waiting_for_ever", ["task-limit (task:waiting_for_ever.there): it may take 604800 s"]),
        ("mapped", ["task-limit (task:mapped.there)", "execution_timeout"]),
        ("lane", ["task-operator", "pool 'fast_lane'"]),
        # What the DAG file says of its environment comes too late.
        ("liar", ["in environment 'staging'", "task-operator"]),
    ],
)
def test_a_violation_is_an_import_error_with_the_policy_and_the_way_out(in_staging, name, says):
    error = in_staging["errors"][name]
    assert error.startswith("AirflowClusterPolicyViolation")
    for part in says:
        assert part in error


def test_a_dry_run_stops_no_dag(dags):
    local = parse(dags, "local")
    assert local["errors"] == {}
    assert "shell" in local["dags"]


def test_a_task_that_was_stored_before_the_policy_is_not_started(tmp_path):
    """The DAG processor knew no policy; the scheduler does. Only the mutation hook stands in between."""
    home = tmp_path / "airflow"
    folder = dag_file(tmp_path / "dags", "shell", task=BASH_TASK)
    dag_file(folder, "kept")
    # Airflow stores no sensor's limit: what is not known must not stop it.
    dag_file(folder, "patient", task=SENSOR_TASK)
    own = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path / 'airflow.db'}",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
    }

    def airflow(environment, *arguments):
        return airflow_process(["-m", "airflow", *arguments], environment, home, **own)

    stores.give_airflow(tmp_path)
    airflow("local", "dags", "reserialize")
    with sqlite3.connect(tmp_path / "airflow.db") as database:
        assert database.execute("select filename, stacktrace from import_error").fetchall() == []
    for dag in ("shell", "kept", "patient"):
        airflow("staging", "dags", "trigger", dag, "--run-id", "one")

    def judged():
        with sqlite3.connect(tmp_path / "airflow.db") as database:
            rows = database.execute("select dag_id, state, pool from task_instance").fetchall()
        found = {dag: (state, pool) for dag, state, pool in rows}
        shell, kept, patient = (found.get(dag, (None, None)) for dag in ("shell", "kept", "patient"))
        return kept[0] == "success" and shell[0] == "scheduled" and patient[0] not in {"scheduled", None}, found

    # No API server runs, so a task that was started gets no further; that it was started is what counts.
    with airflow_service(["scheduler"], "staging", home, **own):
        ended, found = wait_until(judged, seconds=400)
    assert ended, found
    assert {dag: pool for dag, (_, pool) in found.items()} == {
        "kept": "default_pool",
        "patient": "default_pool",
        "shell": "refused_by_policy",
    }
