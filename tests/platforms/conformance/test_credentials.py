"""A key that is planted in an Airflow connection is found in no other place, after it has been used."""

import psycopg2
import pytest
from labs.probe_lab import ENDED

pytestmark = [pytest.mark.timeout(1800)]

DAGS = ["planted_in_process", "planted_subprocess"]


@pytest.fixture(scope="module")
def used(lab, zenml_server):
    """Two DAGs have run their steps on a ZenML server, with the key from a connection."""
    lab.deploy_to(zenml_server.url, zenml_server.api_key)
    connection = {
        "connection_id": "zenml_planted",
        "conn_type": "zenml",
        "host": zenml_server.url,
        "password": zenml_server.api_key,
    }
    lab.api.request("POST", "connections", json=connection)
    for dag_id in DAGS:
        lab.api.wait_for_dag(dag_id, timeout=120)
        body = {"logical_date": "2026-01-05T00:00:00+00:00", "dag_run_id": "day-2026-01-05"}
        lab.api.request("POST", f"dags/{dag_id}/dagRuns", json=body)
    for dag_id in DAGS:
        lab.wait(f"{dag_id} ends", lambda d=dag_id: lab.api.run_state(d, "day-2026-01-05") in ENDED, timeout=500)
    return zenml_server


@pytest.mark.parametrize("dag_id", DAGS)
def test_the_steps_ran_on_the_server(lab, used, dag_id):
    assert lab.api.run_state(dag_id, "day-2026-01-05") == "success", lab.api.failure(dag_id, "day-2026-01-05")
    found = used.admin.get("runs", params={"size": 100, "hydrate": True}).json()["items"]
    (run,) = [one for one in found if one["metadata"]["run_metadata"].get("dag_id") == dag_id]
    assert run["body"]["status"] == "completed"


def test_the_task_links_to_the_run_on_the_server(lab, used):
    path = "dags/planted_in_process/dagRuns/day-2026-01-05/taskInstances/probe.run/links"
    links = lab.api.request("GET", path)["extra_links"]
    assert links["ZenML run"].startswith(f"{used.url}/projects/default/runs/")


def test_the_key_lies_in_no_file(lab, used):
    key = used.api_key.encode()
    files = [path for path in lab.root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 100
    assert [path for path in files if key in path.read_bytes()] == []


def test_the_key_lies_in_no_row_of_airflows_database(lab, used):
    url = lab.database.replace("postgresql+psycopg2://", "postgresql://")
    found, rows = [], 0
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT t::text FROM "{table}" AS t')
            for (row,) in cursor.fetchall():
                rows += 1
                if used.api_key in row:
                    found.append(table)
    assert rows > 100
    assert found == []
