"""The models as the page "Models" reads them from a real ZenML server, over plain HTTP."""

import pytest
from zenml_seed import MODEL

from zenml_airflow.hooks import ZenMLHook
from zenml_airflow.models_registry import read_registry
from zenml_airflow.zenml_api import reader


@pytest.fixture
def server(conn_id):
    return ZenMLHook(conn_id).get_conn()


def read(server, questions=None, most=25):
    with reader(server) as ask:

        def counted(query):
            if questions is not None:
                questions.append(query)
            return ask(query)

        return read_registry(counted, [MODEL], most, server_url=server.url)


def test_the_holders_and_the_newest_version_in_three_questions(zenml_server, server, records):
    first, second = records["versions"]
    body = {"stage": "production", "force": True, "model": _model_of(zenml_server, first)}
    zenml_server.admin.put(f"/model_versions/{first}", json=body).raise_for_status()
    metadata = {
        "training": {"zenml_run_id": records["completed"]},
        "gates": {"passed": False, "verdicts": [{"gate": "skill", "passed": False, "evidence": "low"}]},
    }
    _record(zenml_server, second, metadata)
    questions = []
    found = read(server, questions)
    (model,) = [one for one in found.models if one.name == MODEL]
    assert {stage.value: version and version.number for stage, version in model.stages.items()} == {
        "production": 1,
        "staging": None,
    }
    assert model.newest.number == 2
    assert [one.gate for one in model.newest.gates.failed] == ["skill"]
    assert model.newest.links == {"zenml": f"{server.url}/projects/default/runs/{records['completed']}"}
    assert found.server_url == server.url
    assert len(questions) == 3


def _model_of(zenml_server, version):
    return zenml_server.admin.get(f"/model_versions/{version}").json()["body"]["model"]["id"]


def _record(zenml_server, version, metadata):
    types = {key: "dict" for key in metadata}
    project = zenml_server.admin.get("/projects/default").json()["id"]
    body = {
        "project": project,
        "resources": [{"id": version, "type": "model_version"}],
        "values": metadata,
        "types": types,
    }
    zenml_server.admin.post("/run-metadata", json=body).raise_for_status()
