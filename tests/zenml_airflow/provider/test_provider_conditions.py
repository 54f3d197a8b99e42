"""What can be said of conditions, connections and links without a server."""

import pytest

from zenml_airflow.client.api import ServerError, ZenMLServer
from zenml_airflow.client.conditions import (
    ConditionError,
    ModelStage,
    ModelVersionCondition,
    PipelineRunCondition,
    RunStatus,
)
from zenml_airflow.client.run_urls import run_links
from zenml_airflow.openlineage.lineage import FACET, get_openlineage_facets_on_complete
from zenml_airflow.sensors.zenml import ZenMLModelVersionSensor, ZenMLPipelineRunSensor

RUN = "6a0c2d0e-6a4e-4f53-8d0f-0f1f5c1f9c11"


def test_statuses_and_stages_are_those_of_the_installed_zenml():
    from zenml.enums import ExecutionStatus, ModelStages

    assert {status.value for status in RunStatus} == {status.value for status in ExecutionStatus}
    for status in ExecutionStatus:
        own = RunStatus(status.value)
        assert (own.is_finished, own.is_successful) == (status.is_finished, status.is_successful), status
    assert {stage.value for stage in ModelStage} == {stage.value for stage in ModelStages} - {"none", "latest"}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({}, "name the run with run_id, or its pipeline"),
        ({"pipeline": "training"}, "any earlier run of the pipeline would do"),
        ({"run_id": RUN, "tags": ["a"]}, "would have no effect"),
        ({"pipeline": "training", "external_dag_run_id": "{{ run_id }}"}, "needs external_dag_id"),
    ],
)
def test_a_sensor_that_names_no_run_or_two_is_an_import_error(arguments, complaint):
    with pytest.raises(ConditionError, match=complaint):
        ZenMLPipelineRunSensor(task_id="wait", **arguments)


def test_a_sensor_that_any_version_would_satisfy_is_an_import_error():
    with pytest.raises(ConditionError, match="any version would match"):
        ZenMLModelVersionSensor(task_id="wait", model="m")


def test_a_template_that_rendered_to_nonsense_is_named():
    with pytest.raises(ConditionError, match=r"logical_date: .*valid date"):
        PipelineRunCondition.parse({"pipeline": "p", "logical_date": "yesterday", "tags": []})
    assert ModelVersionCondition.parse({"model": "m", "newer_than": "3"}).newer_than == 3
    assert (
        ModelVersionCondition.parse({"model": "m", "newer_than": "production"}).newer_than is ModelStage.PRODUCTION
    )


def test_every_fault_of_a_connection_is_named_at_once_and_the_key_is_not():
    with pytest.raises(ServerError) as raised:
        ZenMLServer.of(
            "prod",
            host="https://me:SECRET@zenml.example.com",
            password=None,
            extra={"verfy_ssl": True, "project_id": "mine"},
        )
    message = str(raised.value)
    assert all(part in message for part in ("'prod'", "without a user", "API key", "verfy_ssl", "project_id"))
    assert "SECRET" not in message
    server = ZenMLServer.of(
        "prod", host="zenml.example.com", port=8443, password="SECRET", extra={"verify_ssl": "false"}
    )
    assert server.url == "https://zenml.example.com:8443"
    assert "SECRET" not in repr(server)
    assert server.environment()["ZENML_STORE_VERIFY_SSL"] == "false"


@pytest.mark.parametrize(
    ("server", "tracker", "ui", "links"),
    [
        (None, None, None, {}),
        ("https://z.example.com/", None, None, {"zenml": f"https://z.example.com/projects/default/runs/{RUN}"}),
        (
            None,
            "https://me:pw@mlflow.example.com",
            None,
            {"mlflow": "https://mlflow.example.com/#/experiments/7/runs/ab"},
        ),
        (None, "sqlite:////state/mlflow.db", None, {}),
        (
            None,
            "sqlite:////x.db",
            "http://127.0.0.1:5000",
            {"mlflow": "http://127.0.0.1:5000/#/experiments/7/runs/ab"},
        ),
        (None, "{{tracker.url}}", None, {}),
    ],
)
def test_links_lead_where_a_browser_can_go_and_carry_no_password(server, tracker, ui, links):
    recorded = {"experiment_tracker_url": tracker, "mlflow_run_id": "ab", "mlflow_experiment_id": "7"}
    assert run_links(RUN, server, recorded if tracker else None, tracker_ui=ui) == links


class Recorded:
    """A task instance whose operator has run, as far as lineage looks at it."""

    snapshot_id, code_digest, pipeline = "s", "d" * 64, "batch_inference"
    recorded = {
        "run_id": RUN,
        "snapshot_id": "s",
        "steps": {"score": "completed"},
        "metadata": {
            "lineage": {
                "inputs": [{"uri": "/state/landing/date=2026-01-05", "rows": 100}],
                "outputs": [{"uri": "s3://bucket/predictions/date=2026-01-05", "rows": 98, "sha256": "b0a1"}],
                "model": "m",
                "model_version": 3,
            }
        },
    }

    @property
    def task(self):
        return self


def test_lineage_names_run_code_model_data_and_rows_as_openlineage_spells_them():
    from openlineage.client.serde import Serde

    lineage = get_openlineage_facets_on_complete(Recorded())
    facet = Serde.to_dict(lineage.run_facets[FACET])
    assert (facet["zenmlRunId"], facet["modelVersion"], facet["rows"]) == (
        RUN,
        "3",
        {"inputs": 100, "outputs": 98},
    )
    assert [(one.namespace, one.name) for one in (*lineage.inputs, *lineage.outputs)] == [
        ("file", "/state/landing/date=2026-01-05"),
        ("s3://bucket", "predictions/date=2026-01-05"),
    ]
    assert Serde.to_dict(lineage.outputs[0])["outputFacets"]["outputStatistics"]["rowCount"] == 98
    assert Serde.to_dict(lineage.outputs[0])["facets"]["version"]["datasetVersion"] == "sha256:b0a1"
    assert "version" not in Serde.to_dict(lineage.inputs[0])["facets"]
