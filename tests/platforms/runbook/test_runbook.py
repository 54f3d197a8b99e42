"""Every procedure of docs/runbook.md is carried out, in the page's order; then Airflow and ZenML are asked."""

import json
import shutil
import sqlite3
from datetime import date, timedelta

import pytest
from book import BLOCKS, PREPARATION, eventually
from cryptography.fernet import Fernet, InvalidToken

from zenml_mlops.airflow_api.api import AirflowApi
from zenml_mlops.data.partitions import PartitionStore

pytestmark = [pytest.mark.timeout(1800)]

INFERENCE, TRAINING = "readmission_batch_inference", "readmission_training"
BACKFILL, MISSED = "Backfill a range", "Missed days after downtime"
ROTATE, RESTORE = "Rotate a key", "Restore from backup"
DAYS = [date(2026, 1, 5) + timedelta(days=n) for n in range(6)]
OPEN = {"initializing", "provisioning", "running", "retrying", "stopping"}


def partition(settings, day):
    return PartitionStore(settings.resolve(settings.storage.predictions)).manifest(day)


def ended(api, day, before=None):
    """The run of a day, once it has ended later than ``before``."""

    def find():
        run = api.runs_of_days(INFERENCE, day, day).get(day)
        over = run and run["state"] in {"success", "failed"} and run["end_date"] != before
        return run if over else None

    return eventually(find, f"the run of {day} ends")


def zenml_run_of(checkout, settings, day):
    found = {run["id"]: run for run in checkout.zenml_runs("batch_inference")}
    return found[partition(settings, day)["zenml_run_id"]]


def test_pause_and_unpause(operator, api):
    api.wait_for_dag(INFERENCE, timeout=300)
    operator.follow("Pause and unpause", 0)
    assert api.wait_for_dag(INFERENCE)["is_paused"]
    refused = operator.shell(BLOCKS[BACKFILL][0].splitlines()[1], check=False)
    assert refused.returncode == 1
    assert "is paused" in refused.stderr
    assert api.active_backfills(INFERENCE) == []
    operator.follow("Pause and unpause", 1)
    assert not api.wait_for_dag(INFERENCE)["is_paused"]
    # Every interval of the local schedule is long over: nothing begins.
    assert api.runs(INFERENCE) == []


def test_backfill_a_range(operator, checkout, settings, api):
    said = operator.follow(BACKFILL, 0).stdout
    assert "2026-01-05\n2026-01-06\n2026-01-07\n3 of 3 days would run" in said
    assert "3 of 3 days are done" in said
    again = operator.shell(BLOCKS[BACKFILL][0].splitlines()[1], check=False)
    assert again.returncode == 1
    assert "Nothing of 2026-01-05 to 2026-01-07 is left to run" in again.stderr
    operator.follow(BACKFILL, 1)
    assert ended(api, DAYS[3])["state"] == "success"
    runs = api.runs_of_days(INFERENCE, DAYS[0], DAYS[-1])
    assert {day: run["state"] for day, run in runs.items()} == dict.fromkeys(DAYS[:4], "success")
    found = checkout.zenml_runs("batch_inference")
    assert sorted((run["metadata"]["logical_date"][:10], run["status"]) for run in found) == [
        (day.isoformat(), "completed") for day in DAYS[:4]
    ]
    assert {partition(settings, day)["zenml_run_id"] for day in DAYS[:4]} == {run["id"] for run in found}


def test_clear_a_run_and_a_task(operator, checkout, settings, api):
    run = api.runs_of_days(INFERENCE, DAYS[1], DAYS[1])[DAYS[1]]
    first = partition(settings, DAYS[1])
    operator.follow("Clear and what happens", 0, RUN=run["dag_run_id"])
    cleared = ended(api, DAYS[1], before=run["end_date"])
    assert cleared["state"] == "success"
    assert cleared["dag_run_id"] == run["dag_run_id"]
    second = zenml_run_of(checkout, settings, DAYS[1])
    assert second["original"] == first["zenml_run_id"]
    assert {step["status"] for step in second["steps"].values()} == {"completed"}

    operator.follow("Clear and what happens", 1, RUN=run["dag_run_id"])
    assert ended(api, DAYS[1], before=cleared["end_date"])["state"] == "success"
    third = zenml_run_of(checkout, settings, DAYS[1])
    assert third["original"] == second["id"]
    statuses = {name: step["status"] for name, step in third["steps"].items()}
    assert statuses["score_partition"] == "cached"
    assert statuses["publish_predictions"] == "completed"
    assert partition(settings, DAYS[1])["attempt"] == first["attempt"] + 2


def test_stop_a_run(operator, checkout, api):
    known = {run["id"] for run in checkout.zenml_runs("training")}
    api.unpause(TRAINING)
    run_id = api.trigger(TRAINING)

    def begun():
        return next((r for r in checkout.zenml_runs("training") if r["id"] not in known and r["steps"]), None)

    begun_run = eventually(begun, "ZenML knows the training")
    assert begun_run["status"] == "running"
    operator.follow("Stop a run", 0, RUN=run_id)
    assert api.run_state(TRAINING, run_id) == "failed"
    # The task's process closes the run, if one was there in the moment; if not, this does.
    operator.follow("Stop a run", 1)

    def closed():
        found = next(r for r in checkout.zenml_runs("training") if r["id"] == begun_run["id"])
        return found if found["status"] not in OPEN else None

    assert eventually(closed, "ZenML's run is closed")["status"] in {"stopped", "failed"}
    for pipeline in ("training", "batch_inference"):
        assert not [run for run in checkout.zenml_runs(pipeline) if run["status"] in OPEN]


def test_missed_days_after_downtime(operator, checkout, settings, api):
    failed = api.runs_of_days(INFERENCE, DAYS[3], DAYS[3])[DAYS[3]]
    api.request("PATCH", f"dags/{INFERENCE}/dagRuns/{failed['dag_run_id']}", json={"state": "failed"})
    checkout.mlops("down")
    said = operator.follow(MISSED).stdout
    assert "2026-01-08\n2026-01-09\n2026-01-10\n3 of 6 days would run" in said
    assert "3 of 3 days are done" in said
    runs = AirflowApi(settings).runs_of_days(INFERENCE, DAYS[0], DAYS[-1])
    assert {day: run["state"] for day, run in runs.items()} == dict.fromkeys(DAYS, "success")
    assert all(zenml_run_of(checkout, settings, day)["status"] == "completed" for day in DAYS)


def connection_password(settings):
    with sqlite3.connect(settings.state_dir / "airflow" / "airflow.db") as database:
        (found,) = database.execute("SELECT password FROM connection WHERE conn_id = 'probe'").fetchone()
    return found.encode()


def fernet(settings):
    lines = (settings.state_dir / "airflow" / "airflow.cfg").read_text().splitlines()
    (key,) = [line.removeprefix("fernet_key = ") for line in lines if line.startswith("fernet_key = ")]
    return Fernet(key)


def test_rotate_keys(operator, checkout, settings):
    old, old_login = fernet(settings), AirflowApi(settings)
    old_login.request(
        "POST", "connections", json={"connection_id": "probe", "conn_type": "generic", "password": "hidden"}
    )
    assert old.decrypt(connection_password(settings)) == b"hidden"
    operator.follow(ROTATE, 0)
    assert fernet(settings).decrypt(connection_password(settings)) == b"hidden"
    with pytest.raises(InvalidToken):
        old.decrypt(connection_password(settings))

    path = settings.state_dir / "airflow" / "passwords.json"
    before = json.loads(path.read_text())["admin"]
    operator.follow(ROTATE, 1)
    assert json.loads(path.read_text())["admin"] != before
    assert path.stat().st_mode & 0o777 == 0o600
    assert AirflowApi(settings).request("GET", "connections/probe")["conn_type"] == "generic"


def test_backup_and_restore(operator, checkout, settings, tmp_path):
    partitions = {day: partition(settings, day) for day in DAYS}
    runs = AirflowApi(settings).runs_of_days(INFERENCE, DAYS[0], DAYS[-1])
    zenml_runs = checkout.zenml_runs("batch_inference")
    backup = tmp_path / "backup"
    operator.follow(RESTORE, 0, BACKUP=backup)
    for name in ("airflow", "zenml", "mlflow"):
        with sqlite3.connect(backup / f"{name}.db") as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)

    # What must not be there afterwards, and what must.
    checkout.mlops("models", "archive", "readmission_risk", "1", "--reason", "By mistake.")
    shutil.rmtree(settings.resolve(settings.storage.predictions))
    operator.follow(RESTORE, 1, BACKUP=backup)
    assert checkout.mlops("models", "champion", "readmission_risk").stdout == "1\n"
    assert {day: partition(settings, day) for day in DAYS} == partitions
    after = AirflowApi(settings).runs_of_days(INFERENCE, DAYS[0], DAYS[-1])
    assert {d: (r["dag_run_id"], r["end_date"]) for d, r in after.items()} == {
        d: (r["dag_run_id"], r["end_date"]) for d, r in runs.items()
    }
    assert checkout.zenml_runs("batch_inference") == zenml_runs
    assert fernet(settings).decrypt(connection_password(settings)) == b"hidden"
    # It works: a day is scored again with the model that was restored.
    checkout.mlops("backfill", INFERENCE, "--from", DAYS[0], "--to", DAYS[0], "--reprocess", "completed", "--wait")
    assert partition(settings, DAYS[0])["attempt"] == partitions[DAYS[0]]["attempt"] + 1


def test_upgrade(operator, checkout, settings):
    revision = "SELECT version_num FROM alembic_version"
    stores = [
        settings.state_dir / "airflow" / "airflow.db",
        settings.state_dir / "zenml" / "local_stores" / "default_zen_store" / "zenml.db",
    ]

    def revisions():
        found = []
        for path in stores:
            with sqlite3.connect(path) as database:
                found.append(database.execute(revision).fetchone())
        return found

    before, runs = revisions(), checkout.zenml_runs("batch_inference")
    said = operator.follow("Upgrade Airflow or ZenML")
    assert "No data found" in said.stdout
    assert revisions() == before
    assert checkout.zenml_runs("batch_inference") == runs
    assert "stopped" not in checkout.mlops("status").stdout


def test_every_block_was_carried_out(operator):
    wanted = [(heading, n) for heading, blocks in BLOCKS.items() for n in range(len(blocks))]
    elsewhere = {(PREPARATION, 0), ("Databases on servers", 0), ("Databases on servers", 1)}
    assert operator.done == [block for block in wanted if block not in elsewhere]
