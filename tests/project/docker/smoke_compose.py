"""The whole compose file on a real engine: train and score one day through two Celery workers.

`make compose-test` runs it. It needs an engine and the images of `make images`, takes minutes, works in a project
and volumes of its own, which it removes.
"""

import json
import subprocess
import time

import pytest
from compose_lab import Platform
from labs import ROOT

DAY = "2026-01-05"

LIST_STORE = """
import s3fs
from zenml.client import Client

client = Client()
config = client.get_stack_component("artifact_store", "s3").configuration
store = s3fs.S3FileSystem(**client.get_secret("s3").secret_values, client_kwargs=config["client_kwargs"])
print("\\n".join(store.find(config["path"])))
"""
LATENCY = "metric: single_row_ms\n        judge: value\n        maximum: {}\n"
MODEL = "readmission_risk"


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    platform = Platform(tmp_path_factory.mktemp("compose"))
    # Tried are the services, not how fast a machine answers on which all of them share the cores.
    platform.commit("configs/base.yaml", LATENCY.format(1000), LATENCY.format(60000))
    try:
        platform("up", "-d", "--scale", "worker=2", check=False)
        platform.wait()
        yield platform
    finally:
        platform("down", "--volumes", "--remove-orphans", "--timeout", "20", check=False)


@pytest.mark.timeout(3600)
def test_a_day_is_trained_for_and_scored_through_two_workers(platform):
    shown = json.dumps([one["Config"] for one in platform.containers()])
    for path in platform.secrets.iterdir():
        assert path.read_text() not in shown, f"the engine shows {path.name}"

    platform.mlops("data", "fetch", "--source", "synthetic")
    platform.mlops("data", "feed", "--from", DAY)
    trained = platform.run_dag("readmission_training")
    refused = platform.mlops("promote", MODEL, "--dry-run", check=False)
    assert "nobody has approved it for production" in refused
    platform.mlops("models", "approve", MODEL, "1", "--reason", "Seen in the smoke test.")
    platform.mlops("promote", MODEL)
    scored = platform.run_dag("readmission_batch_inference", conf={"date": DAY})
    hosts = {task["hostname"] for task in (*trained, *scored) if task["hostname"]}
    assert len(hosts) == 2, f"tasks ran on {hosts}"

    found = platform.inside("worker", "find", "/var/lib/mlops/predictions", "-name", "*.parquet")
    assert found.count(f"date={DAY}") == 1, found


@pytest.mark.timeout(300)
def test_prometheus_has_the_metrics_of_airflow_and_of_the_steps(platform):
    queries = {
        "airflow_scheduler_heartbeat": "airflow_scheduler_heartbeat",
        "airflow_ti_successes": "airflow_ti_successes",
        "zenml_step_training_train_model_duration_count": '{__name__=~"zenml_step_.*_duration_count"}',
    }
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = {name: platform.metric(query).get(name, 0) for name, query in queries.items()}
        if all(found.values()):
            return
        time.sleep(5)
    raise AssertionError(f"Prometheus has {found}")


@pytest.mark.timeout(1800)
def test_a_second_init_changes_nothing(platform):
    before = platform.inside("worker", "sh", "-c", "cat /var/lib/mlops/manifests/*.json")
    said = platform("run", "--rm", "init")
    assert "rotated" not in said
    assert "created" not in said
    assert platform.inside("worker", "sh", "-c", "cat /var/lib/mlops/manifests/*.json") == before


@pytest.mark.timeout(900)
def test_a_missing_secret_stops_a_service_with_its_name(platform):
    found = subprocess.run(
        [*platform.compose, "run", "--rm", "--no-deps", "-e", "EXTRA={secret:not_there}", "scheduler", "airflow"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode != 0
    assert "not_there" in found.stdout + found.stderr


@pytest.mark.timeout(2400)
def test_with_one_worker_left_a_run_keeps_its_artifacts_on_the_s3_store(platform):
    platform.commit("stacks/compose.yaml", "scheduled: compose ", "scheduled: compose-s3 ")
    said = platform("run", "--rm", "init")
    assert "rotated" not in said
    platform.kill_a_worker()
    tasks = platform.run_dag("readmission_training")
    assert len({task["hostname"] for task in tasks if task["hostname"]}) == 1
    operate = ("/usr/local/bin/entrypoint.py", "python", "/usr/local/bin/operate.py")
    listed = platform(
        *(
            "run",
            "--rm",
            "--no-deps",
            "-T",
            "--entrypoint",
            "python",
            "mlops",
            *operate,
            "python",
            "-c",
            LIST_STORE,
        )
    )
    for part in ("train_model/", "code_uploads/"):
        assert f"zenml/artifacts/{part}" in listed, listed[-2000:]
