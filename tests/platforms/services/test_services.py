"""The main job on distributed services, judged by what Airflow, ZenML, MLflow and the object store say."""

import time
from datetime import timedelta

import httpx
import psycopg2
import pytest
from labs.platform_lab import BUCKET, ENDED, FIRST, INFERENCE, LAST, SHARDED, TRAINING, WORKERS, wait

from zenml_mlops.data.partitions import PartitionStore, read_predictions, read_quarantine

pytestmark = [pytest.mark.timeout(1200)]

DAYS = [FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1)]


@pytest.fixture(scope="module")
def trained(platform):
    run_id = platform.api.trigger(TRAINING)
    platform.finish_run(TRAINING, run_id, timeout=600)
    platform.mlops("promote", "readmission_risk")
    return platform


@pytest.fixture(scope="module")
def scored(trained):
    finish(trained, trained.start_backfill(FIRST, LAST), len(DAYS))
    return trained


def finish(platform, states, count, timeout=600):
    wait(
        "the backfill ends",
        lambda: len(states()) == count and all(state in ENDED for state in states().values()),
        timeout=timeout,
    )
    failed = [day for day, state in states().items() if state != "success"]
    runs = platform.api.runs_of_days(INFERENCE, FIRST, LAST)
    assert not failed, {day: platform.api.failure(INFERENCE, runs[day]["dag_run_id"]) for day in failed}


def resolved(platform, location):
    return platform.settings.resolve(location)


def published_once_more(platform, days, versions):
    """Check that each day was published exactly once since there were so many versions of it, and is whole."""
    storage = platform.settings.storage
    predictions = PartitionStore(resolved(platform, storage.predictions))
    completed = {run["id"] for run in platform.zenml_runs(INFERENCE) if run["body"]["status"] == "completed"}
    for day in days:
        history = predictions.history(day)
        assert len(history) == versions[day] + 1, day
        assert predictions.manifest(day)["zenml_run_id"] == history[-1]["zenml_run_id"]
        assert history[-1]["zenml_run_id"] in completed
        ids = [
            *read_predictions(resolved(platform, storage.predictions), day)["encounter_id"],
            *read_quarantine(resolved(platform, storage.quarantine), day)["encounter_id"],
        ]
        assert len(ids) == len(set(ids)) == history[-1]["rows_in"]


def versions(platform, days):
    store = PartitionStore(resolved(platform, platform.settings.storage.predictions))
    return {day: len(store.history(day)) for day in days}


def test_training_leaves_its_model_its_experiment_and_its_code_where_they_belong(trained):
    (run,) = trained.zenml_runs(TRAINING)
    assert run["body"]["status"] == "completed"
    found = httpx.post(
        f"http://127.0.0.1:{trained.mlflow_port}/api/2.0/mlflow/experiments/get-by-name?experiment_name=training"
    )
    assert "s3://" in httpx.get(str(found.url)).json()["experiment"]["artifact_location"]
    archives = trained.s3.ls(f"{BUCKET}/artifacts/code_uploads", detail=False)
    assert [name for name in archives if name.endswith(".tar.gz")] == archives
    assert trained.s3.find(f"{BUCKET}/artifacts/train_model")


def test_a_backfill_uses_both_workers_and_publishes_each_day_once(scored):
    tasks = scored.tasks()
    assert {state for _, state, *_ in tasks} == {"success"}
    assert {hostname for _, _, hostname, *_ in tasks} == set(WORKERS)
    runs = scored.zenml_runs(INFERENCE)
    assert [run["body"]["status"] for run in runs] == ["completed"] * len(DAYS)
    published_once_more(scored, DAYS, dict.fromkeys(DAYS, 0))


def test_a_worker_that_is_killed_in_the_middle_loses_nothing(scored):
    days = DAYS[:3]
    before = versions(scored, days)
    states = scored.start_backfill(days[0], days[-1])
    victim = WORKERS[0]

    def at_work():
        return [
            (run, tries) for run, state, host, *_, tries in scored.tasks() if (state, host) == ("running", victim)
        ]

    lost = wait("the worker scores", at_work, timeout=400)
    scored.kill_worker(victim)
    try:
        finish(scored, states, len(days))
    finally:
        scored.start_worker(victim)
    found = {run: (host, tries) for run, _, host, *_, tries in scored.tasks()}
    assert {run: found[run] for run, _ in lost} == {run: (WORKERS[1], tries + 1) for run, tries in lost}
    published_once_more(scored, days, before)


def test_a_zenml_server_that_restarts_in_the_middle_loses_and_doubles_no_run(scored):
    days = DAYS[-2:]
    before = versions(scored, days)
    known = {run["id"] for run in scored.zenml_runs(INFERENCE)}
    states = scored.start_backfill(days[0], days[-1])
    wait("a day is scored", lambda: any(state == "running" for _, state, *_ in scored.tasks()), timeout=400)
    scored.zenml.process.stop()
    time.sleep(15)
    scored.zenml.process.start()
    finish(scored, states, len(days))
    new = [run for run in scored.zenml_runs(INFERENCE) if run["id"] not in known]
    assert sorted(run["metadata"]["run_metadata"]["logical_date"][:10] for run in new) == [str(d) for d in days]
    assert {run["body"]["status"] for run in new} == {"completed"}
    published_once_more(scored, days, before)


def test_shards_on_both_workers_come_to_what_one_task_comes_to_and_one_is_retried_alone(scored):
    day = DAYS[4]
    predictions = resolved(scored, scored.settings.storage.predictions)
    columns = ["encounter_id", "risk", "decision", "model_version"]
    whole = read_predictions(predictions, day, columns)
    body = {"logical_date": f"{day}T00:00:00+00:00", "dag_run_id": f"day-{day}"}
    scored.api.request("POST", f"dags/{SHARDED}/dagRuns", json=body)
    scored.finish_run(SHARDED, body["dag_run_id"])
    first = PartitionStore(predictions).manifest(day)
    assert len(first["files"]) == 4
    assert read_predictions(predictions, day, columns).equals(whole)
    shards = {index: host for _, _, host, task, index, _ in scored.tasks(SHARDED) if task.endswith("_shards")}
    assert sorted(shards) == [0, 1, 2, 3]
    assert set(shards.values()) == set(WORKERS)

    order = {
        "dry_run": False,
        "dag_run_id": body["dag_run_id"],
        "task_ids": [["batch_inference.score_partition_shards", 2]],
        "include_downstream": True,
        "only_failed": False,
        "reset_dag_runs": True,
    }
    scored.api.request("POST", f"dags/{SHARDED}/clearTaskInstances", json=order)
    scored.finish_run(SHARDED, body["dag_run_id"])
    tries = {index: tries for _, _, _, task, index, tries in scored.tasks(SHARDED) if task.endswith("_shards")}
    assert tries == {0: 1, 1: 1, 2: 2, 3: 1}
    second = PartitionStore(predictions).manifest(day)
    assert second["zenml_run_id"] != first["zenml_run_id"]
    again = read_predictions(predictions, day)
    assert again[columns].equals(whole)
    # The rows of the shard that was cleared, and of no other, are of the new run.
    new = again["zenml_run_id"] == second["zenml_run_id"]
    assert 0 < new.sum() <= 30
    assert set(again[~new]["zenml_run_id"]) == {first["zenml_run_id"]}


def test_the_key_lies_in_no_file_no_object_and_no_row_of_airflows_database(scored):
    key = scored.zenml.api_key
    files = [path for path in scored.root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 100
    assert [path for path in files if key.encode() in path.read_bytes()] == []
    objects = scored.s3.find(BUCKET)
    assert len(objects) > 100
    assert [name for name in objects if key.encode() in scored.s3.cat_file(name)] == []
    found, rows = [], 0
    with psycopg2.connect(scored.airflow_database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT t::text FROM "{table}" AS t')
            for (row,) in cursor.fetchall():
                rows += 1
                if key in row:
                    found.append(table)
    assert rows > 100
    assert found == []
