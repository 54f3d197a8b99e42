"""The main job in a real Airflow, judged by what Airflow, ZenML and the files say."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pandas as pd
import pytest
from labs import REAL_DATA
from labs.checkout import DAYS

from zenml_airflow.settings.project import load_settings
from zenml_mlops.airflow_api.api import AirflowApi
from zenml_mlops.data.partitions import PartitionStore, read_predictions, read_quarantine
from zenml_mlops.environment.process import password_file
from zenml_mlops.local.services import logs_dir

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(1800)]

DEMO_DAYS = [date(2026, 1, 5) + timedelta(days=n) for n in range(DAYS)]
MONITORING_DAG = "readmission_monitoring"
AGAIN = DEMO_DAYS[-1]
LAST = AGAIN + timedelta(days=5)
DAMAGED = AGAIN + timedelta(days=3)
BACKFILL_DAYS = [day for n in range(1, 6) if (day := AGAIN + timedelta(days=n)) != DAMAGED]
"""One backfill has a day that was scored before, new ones, and one that cannot be read: more than run at once."""
INFERENCE_DAG = "readmission_batch_inference"


@pytest.fixture(scope="module")
def settings(main_job):
    with pytest.MonkeyPatch.context() as patch:
        for key, value in main_job.environment.items():
            if key.startswith("MLOPS_"):
                patch.setenv(key, value)
        yield load_settings("local")


@pytest.fixture(scope="module")
def api(settings):
    return AirflowApi(settings)


def wait_for(api, run_id, states=("success", "failed"), timeout=600):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        run = api.request("GET", f"dags/{INFERENCE_DAG}/dagRuns/{run_id}")
        if run["state"] in states:
            return run
        time.sleep(0.5)
    raise AssertionError(f"{run_id} did not end: {run}")


def partitions_of(settings, days):
    store = PartitionStore(settings.resolve(settings.storage.predictions))
    return {day: store.manifest(day) for day in days}


def partitions(settings):
    return partitions_of(settings, DEMO_DAYS + BACKFILL_DAYS)


def landed(settings, day):
    return pd.read_parquet(f"{settings.resolve(settings.storage.landing)}/date={day}/part-000.parquet")


def assert_each_row_once(settings, day):
    scored = read_predictions(settings.resolve(settings.storage.predictions), day)["encounter_id"]
    refused = read_quarantine(settings.resolve(settings.storage.quarantine), day)["encounter_id"]
    found = sorted([*scored, *refused])
    assert found == sorted(landed(settings, day)["encounter_id"])
    assert len(found) == len(set(found))


def test_demo_ends_with_the_table(main_job):
    for day in DEMO_DAYS:
        assert day.isoformat() in main_job.output
    assert "Airflow, ZenML and the files agree" in main_job.output


def test_gate_passes_with_an_honest_auc(main_job):
    if not REAL_DATA.is_file():
        pytest.skip(f"the published data is not at {REAL_DATA.name}")
    (run,) = main_job.zenml_runs("training")
    assert run["status"] == "completed"
    text = json.dumps(run["metadata"])
    auc = float(re.search(r'"roc_auc": \{[^}]*?"value": ([0-9.]+)', text).group(1))
    assert 0.63 <= auc <= 0.70


def test_every_fed_row_lies_in_exactly_one_place(settings):
    for day in DEMO_DAYS:
        assert_each_row_once(settings, day)


def test_a_prediction_is_traced_through_airflow_to_its_row_and_back(main_job, settings):
    day = DEMO_DAYS[2]
    encounter = int(read_predictions(settings.resolve(settings.storage.predictions), day)["encounter_id"].iloc[5])
    # --strict: no link of the chain may be missing or changed.
    report = json.loads(main_job.mlops("trace", encounter, "--date", day, "--json", "--strict").stdout)
    (tree,) = report["trees"]
    nodes = [tree]
    for node in nodes:
        nodes += node["children"]
    airflow = {node["facts"].get("dag") for node in nodes if node["kind"] == "airflow_run"}
    assert airflow == {"readmission_batch_inference", "readmission_training"}
    assert {node["state"] for node in nodes if node["kind"] in {"source_row", "training_data", "lock"}} == {
        "recorded"
    }
    (source,) = (node["facts"] for node in nodes if node["kind"] == "source_row")
    impact = json.loads(main_job.mlops("impact", "--file", source["sha256"], "--list", "--json").stdout)
    assert [day["date"] for day in impact["days"]] == [day.isoformat()]
    assert encounter in impact["days"][0]["row_ids"]


def test_openlineage_hears_of_data_digests_and_the_model_version(main_job, settings):
    day = DEMO_DAYS[2]
    published = partitions_of(settings, [day])[day]
    told = [
        event
        for path, event in list(main_job.lineage_events)
        if path == "/api/v1/lineage"
        and event["eventType"] == "COMPLETE"
        and event["run"]["facets"].get("zenml_run", {}).get("zenmlRunId") == published["zenml_run_id"]
        and event.get("outputs")
    ]
    assert told
    facet = told[-1]["run"]["facets"]["zenml_run"]
    assert (facet["modelName"], facet["modelVersion"]) == ("readmission_risk", str(published["model_version"]))
    versions = {
        item["name"].rsplit("/", 2)[-2]: item["facets"]["version"]["datasetVersion"]
        for item in (*told[-1]["inputs"], *told[-1]["outputs"])
    }
    (landed_digest,) = published["input_files"].values()
    assert versions == {
        "encounters": f"sha256:{landed_digest}",
        "predictions": f"sha256:{published['files'][0]['sha256']}",
        "quarantine": f"sha256:{published['quarantine']['sha256']}",
    }
    assert all(item["name"].endswith(f"date={day}") for item in told[-1]["outputs"])


def test_manual_run_without_a_logical_date_scores_the_named_day(main_job, settings, api):
    # It fills the half minute until Airflow takes another backfill of the DAG.
    day = DEMO_DAYS[0]
    before = partitions_of(settings, DEMO_DAYS)
    run_id = api.trigger(INFERENCE_DAG, {"date": day.isoformat()})
    assert wait_for(api, run_id)["state"] == "success"
    after = partitions_of(settings, DEMO_DAYS)
    assert after[day]["dag_run_id"] == run_id
    assert {d for d in before if before[d] != after[d]} == {day}


def test_manifests_hold_no_path_and_no_credential(main_job, settings):
    files = sorted(settings.manifests_dir.glob("*.json"))
    assert [path.stem for path in files] == ["batch_inference", "champion_challenger", "monitoring", "training"]
    for path in files:
        text = path.read_text()
        assert not re.search(r'"(/|file:|[A-Za-z]:\\)', text)
        assert str(settings.project_root) not in text
        assert not re.search(r"password|secret|token|api_key|credential", text, re.IGNORECASE)


def test_the_admin_password_is_the_users_alone_and_in_no_log(main_job, settings):
    path = password_file(settings)
    assert path.stat().st_mode & 0o777 == 0o600
    assert settings.state_dir.stat().st_mode & 0o077 == 0
    password = main_job.mlops("password").stdout.strip()
    logs = [*logs_dir(settings).glob("*.log"), *(settings.state_dir / "airflow" / "logs").rglob("*.log")]
    assert len(logs) > 10
    assert not [log for log in logs if password in log.read_text(errors="replace")]


def test_deploying_the_same_thing_twice_finds_the_first_snapshot(main_job, settings):
    manifest = settings.manifests_dir / "batch_inference.json"
    before = manifest.read_bytes()
    main_job.mlops("deploy", "batch_inference")
    assert manifest.read_bytes() == before


@dataclass
class Backfill:
    """Airflow's runs of a backfill by day, and what there was before it."""

    runs: dict
    partitions: dict
    zenml_runs: set


@pytest.fixture(scope="module")
def backfilled(main_job, settings, api):
    main_job.mlops("data", "feed", "--from", BACKFILL_DAYS[0], "--to", LAST)
    part = settings.state_dir / settings.storage.landing / f"date={DAMAGED}" / "part-000.parquet"
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 0xFF
    part.write_bytes(bytes(content))
    known = {run["id"] for run in main_job.zenml_runs("batch_inference")}
    before = partitions_of(settings, DEMO_DAYS)
    ended = {run["dag_run_id"]: run["end_date"] for run in api.runs(INFERENCE_DAG)}
    api.backfill(INFERENCE_DAG, AGAIN, LAST, max_active_runs=4)

    def poll():
        runs = api.runs_of_days(INFERENCE_DAG, AGAIN, LAST).values()
        return [run for run in runs if run["end_date"] != ended.get(run["dag_run_id"], "")]

    for _ in api.follow(poll, timeout=900, expected=2 + len(BACKFILL_DAYS)):
        pass
    return Backfill(api.runs_of_days(INFERENCE_DAG, AGAIN, LAST), before, known)


def test_each_day_of_a_backfill_is_a_run_in_both_systems_and_a_partition(main_job, settings, backfilled):
    runs = backfilled.runs
    assert [runs[day]["state"] for day in BACKFILL_DAYS] == ["success"] * len(BACKFILL_DAYS)

    everything = main_job.zenml_runs("batch_inference")
    assert not [run for run in everything if run["status"] in {"running", "provisioning", "initializing"}]
    new = [run for run in everything if run["id"] not in backfilled.zenml_runs]
    assert len(new) == len(runs)
    by_day = {run["metadata"]["logical_date"][:10]: run for run in new}
    assert sorted(by_day) == [day.isoformat() for day in runs]
    for day in BACKFILL_DAYS:
        run = by_day[day.isoformat()]
        assert run["status"] == "completed"
        assert sorted(run["steps"]) == run["expected"]
        assert {step["status"] for step in run["steps"].values()} == {"completed"}
        assert run["metadata"]["dag_run_id"] == runs[day]["dag_run_id"]
        assert f"logical_date={day}" in run["tags"]
        manifest = PartitionStore(settings.resolve(settings.storage.predictions)).manifest(day)
        assert manifest["zenml_run_id"] == run["id"]
        assert_each_row_once(settings, day)


def test_running_a_day_again_replaces_that_day_and_nothing_else(main_job, settings, backfilled):
    before, after = backfilled.partitions, partitions_of(settings, DEMO_DAYS)
    assert {d for d in before if before[d] != after[d]} == {AGAIN}
    runs = {run["id"]: run for run in main_job.zenml_runs("batch_inference")}
    assert runs[after[AGAIN]["zenml_run_id"]]["original"] == before[AGAIN]["zenml_run_id"]
    assert after[AGAIN]["attempt"] == before[AGAIN]["attempt"] + 1
    assert_each_row_once(settings, AGAIN)


def test_a_damaged_partition_fails_in_both_systems_and_publishes_nothing(main_job, settings, api, backfilled):
    run = backfilled.runs[DAMAGED]
    assert run["state"] == "failed"
    assert "sha256" in api.failure(INFERENCE_DAG, run["dag_run_id"])
    (zenml_run,) = [
        r
        for r in main_job.zenml_runs("batch_inference")
        if r["metadata"]["logical_date"][:10] == DAMAGED.isoformat()
    ]
    assert zenml_run["status"] == "failed"
    assert not (settings.state_dir / settings.storage.predictions / f"date={DAMAGED}").exists()


def test_clearing_a_step_reuses_what_lies_upstream(main_job, settings, api, backfilled):
    # Another backfill followed within seconds; it must not have cancelled the one that this day belongs to.
    day = DEMO_DAYS[2]
    run = api.runs_of_days(INFERENCE_DAG, day, day)[day]
    before = partitions(settings)[day]
    api.request(
        "POST",
        f"dags/{INFERENCE_DAG}/clearTaskInstances",
        json={
            "dry_run": False,
            "dag_run_id": run["dag_run_id"],
            "task_ids": ["batch_inference.score_partition"],
            "include_downstream": True,
            "only_failed": False,
            "reset_dag_runs": True,
        },
    )
    time.sleep(1)
    assert wait_for(api, run["dag_run_id"])["state"] == "success"
    after = partitions(settings)[day]
    assert after["zenml_run_id"] != before["zenml_run_id"]
    new = next(r for r in main_job.zenml_runs("batch_inference") if r["id"] == after["zenml_run_id"])
    assert new["status"] == "completed"
    assert new["original"] == before["zenml_run_id"]
    statuses = {name: step["status"] for name, step in new["steps"].items()}
    assert statuses == {
        "load_partition": "cached",
        "validate_partition": "cached",
        "score_partition": "completed",
        "publish_predictions": "completed",
        "summarize": "completed",
    }
    assert_each_row_once(settings, day)


def test_monitoring_follows_the_predictions_by_their_asset(main_job, settings, api, backfilled):
    """Days that were scored together may be looked at by one run; in the end each of them was."""
    store = PartitionStore(settings.resolve(settings.storage.monitoring))
    deadline = time.monotonic() + 240
    current = {day: manifest["zenml_run_id"] for day, manifest in partitions(settings).items()}
    seen = {}
    while seen != current and time.monotonic() < deadline:
        seen = {day: store.manifest(day)["predictions_run_id"] for day in store.days() if day in current}
        time.sleep(1)
    assert seen == current
    runs = api.runs(MONITORING_DAG)
    assert {run["run_type"] for run in runs} == {"asset_triggered"}
    predictions = PartitionStore(settings.resolve(settings.storage.predictions))
    assert len(runs) <= sum(len(predictions.history(day)) for day in current) + 1
    for run in main_job.zenml_runs("monitoring"):
        assert run["status"] == "completed"
    day = BACKFILL_DAYS[-1]
    told = json.loads(main_job.mlops("report", "show", "--date", day, "--json").stdout)
    assert told["own"]["run_id"] == current[day]
    page = json.loads(main_job.mlops("report", "open", "--date", day, "--json").stdout)["page"]
    assert str(day) in Path(page).read_text()
    assert "alerts" in json.loads(main_job.mlops("status", "--json").stdout)["sections"]


def test_same_pipeline_runs_without_airflow(main_job, settings):
    day = DEMO_DAYS[1]
    main_job.mlops("run", "batch_inference", "--date", day)
    manifest = partitions(settings)[day]
    assert manifest["dag_id"] == "cli"
    assert datetime.fromisoformat(manifest["logical_date"]).date() == day
    assert_each_row_once(settings, day)


def test_every_decision_of_the_main_job_is_in_the_audit_log_and_zenml_remembers_it(main_job):
    lines = main_job.mlops("audit", "show", "--last", 1000, "--json").stdout.splitlines()
    entries = [json.loads(line) for line in lines]
    made = {(entry["action"], entry["subject"], entry["outcome"]) for entry in entries}
    assert made >= {
        ("deploy", "pipeline:training", "allowed"),
        ("deploy", "pipeline:training", "done"),
        ("start_run", "pipeline:training", "allowed"),
        ("gate", "data:training", "allowed"),
        ("gate", "model:training", "allowed"),
        ("promote", "model_version:readmission_risk/1", "allowed"),
        ("promote", "model_version:readmission_risk/1", "done"),
        ("start_run", "pipeline:batch_inference", "allowed"),
    }
    (gate,) = [entry for entry in entries if entry["subject"] == "model:training"]
    (run,) = main_job.zenml_runs("training")
    assert gate["links"]["zenml_run"] == run["id"]
    assert gate["actor"] == f"airflow:readmission_training/{run['metadata']['dag_run_id']}"
    # A run without Airflow is judged before ZenML has made it: its entry names the stack, not the run.
    starts = {entry["links"].get("zenml_run") for entry in entries if entry["action"] == "start_run"}
    by_airflow = [run for run in main_job.zenml_runs("batch_inference") if run["metadata"]["dag_id"] != "cli"]
    assert starts >= {run["id"] for run in by_airflow}
    verified = json.loads(main_job.mlops("audit", "verify", "--json").stdout)
    assert verified["whole"]
    assert verified["checkpoints"] > 10


def test_the_audit_report_tells_of_the_training_and_of_every_partition(main_job, settings, tmp_path):
    page = tmp_path / "report.html"
    told = json.loads(main_job.mlops("audit", "report", "--out", page, "--json").stdout)
    assert told["whole"]
    assert told["chapters"]["trained"] == {"rows": 1, "bad": 0}
    store = PartitionStore(str(settings.resolve(settings.storage.predictions)))
    assert told["chapters"]["scored"]["rows"] == sum(len(store.history(day)) for day in store.days())
    assert "version readmission_risk/1" in page.read_text()


def test_a_plain_submission_to_airflows_stack_is_refused_and_leaves_no_run(main_job):
    known = {run["id"] for run in main_job.zenml_runs("batch_inference")}
    code = """
import json
from zenml_mlops.environment.process import enter
from zenml_mlops.environment.stack_files import stack_id
from zenml_airflow.runtime.active_stack import active_stack
settings = enter("local")
from zenml.utils import source_utils
source_utils.set_custom_source_root(str(settings.project_root))
from zenml_mlops.environment.deployments import pipelines
_, spec = pipelines(settings, ["batch_inference"])["batch_inference"]
with active_stack(stack_id(settings, scheduled=True)):
    try:
        spec.load()(config=spec.config_class.from_settings(settings.model_dump()))
        print(json.dumps("accepted"))
    except RuntimeError as error:
        print(json.dumps(str(error)))
"""
    assert "mlops deploy" in main_job.python(code)
    left = [run for run in main_job.zenml_runs("batch_inference") if run["id"] not in known]
    assert not [run for run in left if run["status"] in {"running", "provisioning", "initializing"}]


def test_many_who_write_at_once_are_all_answered(api):
    """Without the plugin ``local/sqlite_plugin.py`` this and every task wait for SQLite's 60 s, over and over."""
    dag = "dags/zenml_maintenance"
    paused = api.request("GET", dag)["is_paused"]
    api.request("PATCH", dag, json={"is_paused": True})
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(api.trigger, ["zenml_maintenance"] * 16))
    assert len(set(runs)) == 16
    for run in runs:
        api.request("DELETE", f"{dag}/dagRuns/{quote(run, safe='')}")
    api.request("PATCH", dag, json={"is_paused": paused})
