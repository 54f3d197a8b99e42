"""The models as the page "Models" reads them from a real ZenML server, over plain HTTP."""

from zenml_airflow.client.api import reader
from zenml_airflow.client.registry import read_registry
from zenml_airflow.hooks.zenml import ZenMLHook

MODEL = "lab_page_model"


def seed(admin):
    """A model with two versions; return their ids and the project's."""
    project = admin.get("/projects/default").json()["id"]

    def create(path, **body):
        return admin.post(path, json={"project": project, **body}).raise_for_status().json()["id"]

    model = create("/models", name=MODEL)
    versions = [create("/model_versions", model=model) for _ in range(2)]
    body = {"stage": "production", "force": True, "model": model}
    admin.put(f"/model_versions/{versions[0]}", json=body).raise_for_status()
    return project, versions


def record(admin, project, version, **metadata):
    body = {
        "project": project,
        "resources": [{"id": version, "type": "model_version"}],
        "values": metadata,
        "types": dict.fromkeys(metadata, "dict"),
    }
    admin.post("/run-metadata", json=body).raise_for_status()


def test_the_champions_and_the_newest_version_in_three_queries(zenml_server, conn_id):
    admin, run, queries = zenml_server.admin, "0f7f4f1e-5b1c-4f59-9d15-3d1c1d0a5c11", []
    project, (_, second) = seed(admin)
    failed = {"passed": False, "verdicts": [{"gate": "skill", "passed": False, "evidence": "low"}]}
    record(admin, project, second, training={"zenml_run_id": run}, gates=failed)
    server = ZenMLHook(conn_id).get_conn()
    with reader(server) as ask:

        def counted(query):
            queries.append(query)
            return ask(query)

        found = read_registry(counted, [MODEL], 25, server_url=server.url)
    (model,) = [one for one in found.models if one.name == MODEL]
    assert {stage.value: version and version.number for stage, version in model.stages.items()} == {
        "production": 1,
        "staging": None,
    }
    assert model.newest.number == 2
    assert [one.gate for one in model.newest.gates.failed] == ["skill"]
    assert model.newest.links == {"zenml": f"{server.url}/projects/default/runs/{run}"}
    assert found.server_url == server.url
    assert len(queries) == 3
