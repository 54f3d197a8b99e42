"""A real Celery worker, on Redis, forks its pool from a process that has the heavy imports."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid

import psutil
import pytest
import redis

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(600)]

BROKER = "redis://127.0.0.1:6379/7"
LOCAL_SETTINGS = """
import json, os, sys, threading
from airflow.configuration import conf
from zenml_airflow.runtime.preload import preload_if_forking

done = preload_if_forking(sys.argv, executor=conf.get("core", "executor"))
with open(os.environ["PRELOAD_REPORT"], "a") as report:
    report.write(json.dumps({
        "pid": os.getpid(),
        "preloaded": done,
        "zenml": "zenml.client" in sys.modules,
        "threads": [thread.name for thread in threading.enumerate()],
    }) + "\\n")
"""


@pytest.fixture
def broker():
    client = redis.Redis.from_url(BROKER)
    try:
        client.ping()
    except redis.ConnectionError as error:
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail(f"Redis is required on its standard port: {error}")
        pytest.skip(f"no Redis on its standard port: {error}")
    prefix = f"test-{uuid.uuid4().hex}-"
    yield prefix
    for key in client.scan_iter(f"{prefix}*"):
        client.delete(key)
    client.close()


def test_the_pool_of_a_worker_is_forked_after_the_preload(broker, tmp_path):
    home, report = tmp_path / "airflow", tmp_path / "report.jsonl"
    (home / "config").mkdir(parents=True)
    (home / "config" / "airflow_local_settings.py").write_text(LOCAL_SETTINGS)
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CELERY__BROKER_URL": BROKER,
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+sqlite:///{tmp_path / 'results.db'}",
        "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__GLOBAL_KEYPREFIX": broker,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "PRELOAD_REPORT": str(report),
        "ZENML_AIRFLOW_PRELOAD": "1",
    }
    command = [sys.executable, "-m", "airflow", "celery", "worker", "--concurrency", "2", "--skip-serve-logs"]
    with (tmp_path / "worker.log").open("w") as log:
        worker = subprocess.Popen(
            command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 300
        # Until the worker says that its pool stands, its children may be any command that it asks something.
        while " ready." not in (tmp_path / "worker.log").read_text():
            assert worker.poll() is None, (tmp_path / "worker.log").read_text()[-3000:]
            assert time.monotonic() < deadline, (tmp_path / "worker.log").read_text()[-3000:]
            time.sleep(0.5)
        pool = psutil.Process(worker.pid).children(recursive=True)
        assert len(pool) >= 2, pool
        reports = [json.loads(line) for line in report.read_text().splitlines()]
        (main,) = [one for one in reports if one["preloaded"]]
        assert main["zenml"] is True
        assert main["threads"] == ["MainThread"]
        parents = {parent.pid for process in pool for parent in process.parents()}
        assert main["pid"] in parents
        for process in pool:
            assert any("pyarrow" in mapped.path for mapped in process.memory_maps()), process
    finally:
        os.killpg(worker.pid, signal.SIGTERM)
        try:
            worker.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(worker.pid, signal.SIGKILL)
