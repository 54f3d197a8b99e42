"""The container that the launcher `docker` asks an engine for.

Airflow's own operator, through Docker's own client and its model of the engine's API, sends its request to a
server that writes it down: the same request as an engine would get.
"""

from datetime import UTC, datetime

import pytest
from labs.manifests import manifest, step
from recorder import recording

from zenml_airflow.context import CONTEXT_ENV, RunContext
from zenml_airflow.manifest.launchers import LauncherError
from zenml_airflow.manifest.manifest import Resources, write_manifest
from zenml_airflow.operators.docker import marked_result
from zenml_airflow.runtime.entrypoint import REQUEST_ENV, RESULT_MARK
from zenml_airflow.runtime.runner import StepsRequest

pytestmark = [pytest.mark.airflow]

IMAGE = "registry.example/steps@sha256:" + "0" * 64
VERSION = {"ApiVersion": "1.47", "MinAPIVersion": "1.24", "Version": "27.0"}
STEPS = (step("load", resources=Resources(cpu_count=1.5, memory="512MiB")), step("report", "load"))


@pytest.fixture
def asked_for(settings, make_dag, airflow_database):
    def ask(**options):
        answers = {
            ("GET", "/version"): (200, VERSION),
            ("GET", "/_ping"): (200, "OK"),
            ("GET", "/images/json"): (200, [{"Id": "sha256:0"}]),
            ("POST", "/containers/create"): (403, {"message": "written down"}),
        }
        with recording(answers) as engine:
            url = engine.url.replace("http://", "tcp://")
            dag = make_dag("containers", "docker", {"image": IMAGE, "docker_url": url, **options})
            dag.test(logical_date=datetime(2026, 1, 5, tzinfo=UTC))
            return engine.bodies("POST", "/containers/create")

    return ask


def test_the_container_is_locked_down_and_limited(asked_for):
    load, report = asked_for(volumes={"/data": "landing:ro", "/models": "/srv/models"}, network_mode="ml")
    for body in (load, report):
        assert body["Image"] == IMAGE
        assert body["User"] == "1000:1000"
        assert body["Cmd"][:3] == ["python", "-m", "zenml_airflow.runtime.entrypoint"]
        host = body["HostConfig"]
        assert host["ReadonlyRootfs"] is True
        assert host["CapDrop"] == ["ALL"]
        assert host["SecurityOpt"] == ["no-new-privileges"]
        assert not host.get("Privileged")
        assert host["Init"] is True
        assert host["NetworkMode"] == "ml"
        assert host["Tmpfs"] == {"/tmp": "rw,nosuid,nodev,size=1g,mode=1777"}
        assert [(m["Target"], m["Source"], m["Type"], m["ReadOnly"]) for m in host["Mounts"]] == [
            ("/data", "landing", "volume", True),
            ("/models", "/srv/models", "bind", False),
        ]
        assert "docker.sock" not in str(body)
    assert (load["HostConfig"]["NanoCpus"], load["HostConfig"]["Memory"]) == (1_500_000_000, 2**29)
    assert "NanoCpus" not in report["HostConfig"]

    told = dict(item.split("=", 1) for item in load["Env"])
    assert StepsRequest.model_validate_json(told[REQUEST_ENV]).steps == ("load",)
    assert RunContext.model_validate_json(told[CONTEXT_ENV]).partition_date.isoformat() == "2026-01-05"
    assert not [name for name in told if "KEY" in name or "TOKEN" in name or "PASSWORD" in name]


def test_the_result_is_found_among_other_output():
    lines = ["loading", RESULT_MARK + '{"run_id": "1", "steps": {}}', "a library says goodbye"]
    assert marked_result(lines) == {"run_id": "1", "steps": {}}
    assert marked_result(lines[0]) is None
    assert marked_result(None) is None


def test_a_gpu_is_refused(settings, make_dag):
    steps = (step("train", resources=Resources(gpu_count=1)),)
    digest = settings.deployed_digest("training")
    write_manifest(manifest(steps=steps, config_digest=digest), settings.manifests_dir)
    with pytest.raises(LauncherError, match="ask for a GPU"):
        make_dag("containers", "docker", {"image": IMAGE})


def test_a_missing_image_is_an_import_error(settings, make_dag):
    with pytest.raises(LauncherError, match="have no image"):
        make_dag("containers", "docker", {})
