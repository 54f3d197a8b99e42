"""The provider as a person sees it in Airflow: the connection's form, its test button, a task's links."""

import json
import os
import secrets
from pathlib import Path

import pytest
from labs import stores, warm

pytestmark = pytest.mark.airflow

LAB = Path(__file__).with_name("airflow_lab.py")


@pytest.fixture(scope="module")
def answers(zenml_server, conn_id, records, tmp_path_factory):
    home = tmp_path_factory.mktemp("airflow-lab")
    stores.give_airflow(home)
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__CORE__DAGS_FOLDER": str(LAB.with_name("dags")),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
    }
    body = {
        "connection_id": "lab",
        "conn_type": "zenml",
        "host": zenml_server.url,
        "password": zenml_server.api_key,
    }
    result = warm.run([LAB], env=environment, stdin=json.dumps(body))
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert zenml_server.api_key not in result.stdout + result.stderr
    return json.loads(result.stdout.strip().splitlines()[-1])


def test_the_form_asks_for_a_url_and_a_key(answers):
    form = answers["form"]
    fields = form["standard_fields"]
    assert form["hook_name"] == "ZenML"
    assert fields["host"]["title"] == "Server URL"
    assert fields["password"]["title"] == "API key"
    assert {name for name, field in fields.items() if field and field["hidden"]} == {"login", "port", "url_schema"}
    assert set(form["extra_fields"]) == {"verify_ssl", "ca_bundle", "project_id"}


def test_the_button_tells_a_good_key_from_a_bad_one(answers):
    assert answers["good"]["status"] is True
    assert "service account 'airflow'" in answers["good"]["message"]
    assert answers["bad"]["status"] is False
    assert "refuses the API key" in answers["bad"]["message"]


def test_a_task_shows_its_links_and_a_sensor_hands_on_the_run(answers, records):
    assert answers["states"] == {"wait": "success", "record": "success"}
    assert answers["links"]["extra_links"] == {
        "ZenML run": "https://z.example.com/projects/default/runs/r",
        "MLflow run": "https://m.example.com/#/x",
    }
    assert records["completed"] in json.dumps(answers["found"]["value"])
