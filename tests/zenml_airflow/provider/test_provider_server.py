"""Hook, triggers and sensors against a real ZenML server and against the local store."""

import asyncio
import os
import sys
import threading
from contextlib import contextmanager
from uuid import UUID

import pytest
import sqlalchemy
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from labs.zenml_server import connection
from zenml_seed import DAG_ID, DAY, MODEL, PIPELINE, dag_run_id, seed

from zenml_airflow.client.conditions import ModelVersionCondition, Outcome, PipelineRunCondition
from zenml_airflow.hooks.zenml import ZenMLHook
from zenml_airflow.sensors.triggers import ZenMLModelVersionTrigger, ZenMLRunTrigger
from zenml_airflow.sensors.zenml import ZenMLModelVersionSensor, ZenMLPipelineRunSensor

POKE_SECONDS = 0.2
NO_RUN = "00000000-0000-4000-8000-000000000000"


async def first_event(trigger):
    async for event in trigger.run():
        return event.payload
    return None


class LoopGuard:
    """What a thread does that keeps all other tasks of its event loop waiting, as Python's audit events tell it.

    That is no measure of time, which a busy machine would spoil: one blocking call is too many.
    """

    def __init__(self):
        self.thread, self.blocking, self.elsewhere = None, [], set()
        self.hooked = False

    def _hear(self, event, arguments):
        if self.thread is None:
            return
        what = None
        if event == "socket.connect" and arguments[0].gettimeout() != 0:
            what = f"connects to {arguments[1]}"
        elif event == "import" and arguments[0].split(".")[0] == "zenml":
            what = f"imports {arguments[0]}"
        elif event in {"socket.getaddrinfo", "sqlite3.connect", "time.sleep", "subprocess.Popen"}:
            what = event
        if what is not None:
            self.note(what)

    def note(self, what):
        if threading.get_ident() == self.thread:
            self.blocking.append(what)
        else:
            self.elsewhere.add(what)

    @contextmanager
    def watching(self):
        """Note what this thread does until the end of the block."""

        def statement(*_):
            self.note("SQL statement")

        if not self.hooked:
            sys.addaudithook(self._hear)
            self.hooked = True
        self.blocking, self.elsewhere, self.thread = [], set(), threading.get_ident()
        sqlalchemy.event.listen(sqlalchemy.engine.Engine, "before_cursor_execute", statement)
        try:
            yield
        finally:
            sqlalchemy.event.remove(sqlalchemy.engine.Engine, "before_cursor_execute", statement)
            self.thread = None


GUARD = LoopGuard()


def watch(trigger, meanwhile=None):
    """The event of a trigger; none of its calls may have blocked its loop.

    The trigger is made anew from what it serializes to, as the triggerer does it.
    """
    _, arguments = trigger.serialize()
    trigger = type(trigger)(**arguments)

    async def both():
        with GUARD.watching():
            waiting = asyncio.create_task(first_event(trigger))
            if meanwhile is not None:
                await asyncio.sleep(5 * POKE_SECONDS)
                assert not waiting.done(), "the trigger fired before anything had happened"
                await asyncio.to_thread(meanwhile)
            return await asyncio.wait_for(waiting, 60)

    event = asyncio.run(both())
    assert GUARD.blocking == []
    return event


def test_the_connection_test_tells_a_good_key_from_a_bad_one_and_from_a_bad_address(
    zenml_server, conn_id, monkeypatch
):
    assert ZenMLHook(conn_id).test_connection() == (
        True,
        f"Connected to ZenML 0.98.0 at {zenml_server.url} as service account 'airflow'.",
    )
    wrong = zenml_server.api_key[:-6] + "AAAA=="
    nowhere = "http://127.0.0.1:9"
    for name, content, expected in (
        ("zl_key", connection(zenml_server.url, wrong), "refuses the API key"),
        ("zl_project", connection(zenml_server.url, zenml_server.api_key, project_id=NO_RUN), "project"),
        ("zl_nowhere", connection(nowhere, zenml_server.api_key), f"at {nowhere} does not answer"),
        ("zl_path", connection(f"{zenml_server.url}/health", zenml_server.api_key), "it is not a ZenML server"),
        ("zl_typo", connection("zenml.example.com/?x", zenml_server.api_key), "must read like https://"),
    ):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", content)
        worked, message = ZenMLHook(name).test_connection()
        assert not worked
        assert expected in message, message
        assert wrong not in message
        assert zenml_server.api_key not in message
    worked, message = ZenMLHook("zl_absent").test_connection()
    assert not worked
    assert "no connection 'zl_absent'" in message


def test_zenmls_client_works_with_what_the_hook_tells_it_and_leaves_no_key_on_disk(zenml_server, records):
    assert records["store"] == zenml_server.url
    written = [path for path in records["client_folder"].rglob("*") if path.is_file()]
    assert written
    assert all(zenml_server.api_key.encode() not in path.read_bytes() for path in written)


def test_no_connection_means_no_variables():
    assert ZenMLHook(None).get_environment() == {}


def test_a_run_is_waited_for_in_the_triggerer_until_it_completes(zenml_server, conn_id, records):
    sensor = ZenMLPipelineRunSensor(
        task_id="wait",
        pipeline=PIPELINE,
        external_dag_id=DAG_ID,
        external_dag_run_id=dag_run_id(DAY),
        logical_date=DAY,
        zenml_conn_id=conn_id,
        poke_interval=POKE_SECONDS,
        timeout=60,
    )
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute({})
    assert deferred.value.timeout.total_seconds() == 60
    assert zenml_server.api_key not in repr(deferred.value.trigger.serialize())

    def complete():
        update = {"status": "completed", "end_time": "2026-01-06T00:00:00"}
        zenml_server.admin.put(f"/runs/{records['run']}", json=update).raise_for_status()

    event = watch(deferred.value.trigger, meanwhile=complete)
    found = sensor.resume({}, event)
    assert found["run_id"] == records["run"]
    assert found["status"] == "completed"
    # Once it is met, a sensor does not defer, and one that waits in a worker says the same.
    assert sensor.execute({}) == found
    sensor.deferrable = False
    assert sensor.execute({}) == found


def test_a_dag_run_whose_id_fits_as_a_wildcard_only_is_not_meant(conn_id, records):
    hook, like = ZenMLHook(conn_id), dag_run_id(DAY).replace("T", "_")
    assert hook.pipeline_runs(orchestrator_run_id=f"startswith:{DAG_ID}/{like}/"), "ZenML takes it for one"
    condition = PipelineRunCondition(pipeline=PIPELINE, external_dag_id=DAG_ID, external_dag_run_id=like)
    assert hook.judge(condition).outcome is Outcome.WAITING


def test_a_run_that_will_never_finish_fails_the_sensor_with_a_sentence(conn_id, records):
    sensor = ZenMLPipelineRunSensor(task_id="wait", run_id=NO_RUN, zenml_conn_id=conn_id)
    with pytest.raises(AirflowFailException, match=f"no pipeline run {NO_RUN}"):
        sensor.execute({})


def test_a_model_version_is_waited_for_until_it_reaches_the_stage(zenml_server, conn_id, records):
    first, second = records["versions"]
    hook = ZenMLHook(conn_id)
    passed = ModelVersionCondition(model=MODEL, metadata={"gates.passed": True})
    assert hook.judge(passed).found["model_version_id"] == first, "the newest version has failed its gates"
    assert (
        hook.judge(ModelVersionCondition(model=MODEL, newer_than="production")).found["model_version_id"] == second
    )
    wanted = ModelVersionCondition(model=MODEL, stage="production", newer_than=0, metadata={"gates.passed": True})

    def promote():
        update = {"model": first, "stage": "production", "force": True}
        zenml_server.admin.put(f"/model_versions/{first}", json=update).raise_for_status()

    event = watch(ZenMLModelVersionTrigger.watching(wanted, POKE_SECONDS, conn_id), meanwhile=promote)
    assert event["outcome"] == "met"
    assert event["found"] == {
        "model": MODEL,
        "model_version_id": first,
        "version": "1",
        "number": 1,
        "stage": "production",
    }
    candidate = ModelVersionCondition(model=MODEL, newer_than="production", metadata={"gates.passed": True})
    assert hook.judge(candidate).outcome is Outcome.WAITING


def test_a_server_that_is_away_is_waited_for_and_a_refused_key_is_not(zenml_server, conn_id, records, monkeypatch):
    condition = ModelVersionCondition(model=MODEL, newer_than=0)
    away = ZenMLModelVersionTrigger.watching(condition, POKE_SECONDS, "zl_away")
    monkeypatch.setenv("AIRFLOW_CONN_ZL_AWAY", connection("http://127.0.0.1:9", zenml_server.api_key))
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(first_event(away), 4 * POKE_SECONDS))
    monkeypatch.setenv("AIRFLOW_CONN_ZL_AWAY", connection(zenml_server.url, "ZENKEY_wrong"))
    event = watch(away)
    assert event["outcome"] == "failed"
    assert "refuses the API key" in event["message"]


@pytest.mark.timeout(600)
def test_the_local_store_is_read_in_a_thread_and_means_the_same():
    local = seed()
    assert local["store"].startswith("sqlite")
    assert os.environ["ZENML_CONFIG_PATH"] in local["store"]
    sensor = ZenMLModelVersionSensor(task_id="wait", model=MODEL, metadata={"gates.passed": True})
    assert sensor.execute({})["model_version_id"] == local["versions"][0]
    waiting = PipelineRunCondition(pipeline=PIPELINE, logical_date=DAY)
    assert ZenMLHook(None).judge(waiting).found["run_id"] == local["run"]

    def stop():
        from zenml.enums import ExecutionStatus
        from zenml.orchestrators.publish_utils import publish_pipeline_run_status_update

        publish_pipeline_run_status_update(
            UUID(local["run"]), ExecutionStatus.FAILED, status_reason="out of memory"
        )

    event = watch(ZenMLRunTrigger.watching(waiting, POKE_SECONDS, None), meanwhile=stop)
    assert event["outcome"] == "failed"
    assert "ended with status failed (out of memory)" in event["message"]
    assert "SQL statement" in GUARD.elsewhere


def test_a_call_that_blocks_the_loop_is_seen(zenml_server, conn_id, records):
    """The other tests mean nothing if their guard sees nothing."""

    async def asked_in_the_loop():
        with GUARD.watching():
            ZenMLHook(conn_id).judge(ModelVersionCondition(model=MODEL, newer_than=0))

    async def stored_in_the_loop():
        with GUARD.watching():
            ZenMLHook(None).judge(ModelVersionCondition(model="absent", newer_than=0))

    asyncio.run(asked_in_the_loop())
    assert any("connects to" in what for what in GUARD.blocking)
    asyncio.run(stored_in_the_loop())
    assert "SQL statement" in GUARD.blocking
