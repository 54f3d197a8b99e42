"""Each DAG file, parsed as Airflow parses it: in a fork of its own that has Airflow, from manifests alone."""

import ast
import json
import os
import shutil
import sys
from functools import cache

import pytest
from labs import ROOT, warm

DAG_FILES = sorted((ROOT / "dags").glob("*.py"))
HEAVY = ["zenml", "pandas", "sklearn", "mlflow", "pandera", "skops", "pyarrow"]
REFUSE = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {refused!r}:
            raise ImportError("refused: " + name)
sys.meta_path.insert(0, Refuse())
"""
PARSE = """
import json, runpy, sys
from airflow.sdk import DAG
scope = runpy.run_path({path!r})
dags = {{id(v): v for v in scope.values() if isinstance(v, DAG)}}.values()
print(json.dumps({{
    "heavy": sorted({{n.split(".")[0] for n in sys.modules}} & set({heavy!r})),
    "dags": [{{
        "id": d.dag_id, "tags": sorted(d.tags), "doc": d.doc_md or "", "catchup": d.catchup,
        "max_active_runs": d.max_active_runs, "paused": d.is_paused_upon_creation,
        "timeout": d.dagrun_timeout.total_seconds() if d.dagrun_timeout else None,
        "timetable": type(d.timetable).__name__,
        "tasks": {{t.task_id: {{
            "owner": t.owner, "retries": t.retries, "upstream": sorted(t.upstream_task_ids),
            "timeout": t.execution_timeout.total_seconds() if t.execution_timeout else None,
            "wait": getattr(t, "timeout", None), "backoff": t.retry_exponential_backoff,
            "outlets": [o.name for o in t.outlets], "steps": getattr(t, "steps", None),
        }} for t in d.tasks}},
    }} for d in dags],
}}))
"""


@pytest.fixture(scope="module")
def manifests(tmp_path_factory):
    """A state folder with the manifests of the real pipelines' shape."""
    from labs.manifests import manifest

    from zenml_airflow.manifest.manifest import write_manifest
    from zenml_airflow.settings.project import load_settings

    state = tmp_path_factory.mktemp("state")
    for pipeline in ("training", "batch_inference", "champion_challenger", "monitoring"):
        digest = load_settings("local").deployed_digest(pipeline)
        write_manifest(manifest(pipeline, config_digest=digest), state / "manifests")
    return state


def parse(path, state, prefix="", **variables):
    environment = {**os.environ, "MLOPS_STATE_DIR": str(state), **variables}
    code = prefix + PARSE.format(path=str(path), heavy=HEAVY)
    return warm.run(["-c", code], env=environment, cwd=ROOT, kind="airflow")


@cache
def parsed(path, state, **kwargs):
    result = parse(path, state, **kwargs)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize("path", DAG_FILES, ids=lambda p: p.stem)
def test_parsing_imports_no_machine_learning_library(path, manifests):
    report = parsed(path, manifests)
    assert report["dags"]
    assert report["heavy"] == []


@pytest.mark.parametrize("path", DAG_FILES, ids=lambda p: p.stem)
def test_parsing_works_where_zenml_and_the_ml_stack_are_not_installed(path, manifests):
    assert parsed(path, manifests, prefix=REFUSE.format(refused=HEAVY))["dags"]


@pytest.mark.parametrize("path", DAG_FILES, ids=lambda p: p.stem)
def test_every_dag_says_what_an_operator_needs(path, manifests):
    for dag in parsed(path, manifests)["dags"]:
        assert dag["tags"]
        assert dag["doc"].lstrip().startswith("###")
        timetables = {
            "readmission_promotion": "AssetTriggeredTimetable",
            "readmission_monitoring": "AssetTriggeredTimetable",
            "readmission_training": "AssetOrTimeSchedule",
        }
        assert dag["timetable"] == timetables.get(dag["id"], "CronDataIntervalTimetable")
        assert dag["catchup"] is False
        assert dag["max_active_runs"] <= 4
        assert dag["paused"] is (dag["id"] == "readmission_promotion")
        assert dag["timeout"]
        for name, task in dag["tasks"].items():
            assert task["owner"] == "ml-platform", name
            assert task["timeout"] or task["wait"], name
            assert task["backoff"], name


@pytest.mark.parametrize("path", DAG_FILES, ids=lambda p: p.stem)
def test_a_dag_file_is_short_and_imports_the_bridge_only(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 62
    for node in ast.walk(ast.parse(text)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module]
        for name in names:
            top = name.split(".")[0]
            assert top in {"zenml_airflow", "airflow"} or top in sys.stdlib_module_names, name


def test_steps_become_tasks_with_their_own_limits(manifests):
    (dag,) = parsed(ROOT / "dags" / "readmission_batch_inference.py", manifests)["dags"]
    tasks = dag["tasks"]
    assert tasks["batch_inference.load"]["upstream"] == ["partition_complete"]
    assert tasks["batch_inference.gate"]["upstream"] == ["batch_inference.train"]
    assert tasks["batch_inference.gate"]["retries"] == 0
    assert tasks["batch_inference.load"]["retries"] == 2
    assert tasks["batch_inference.gate"]["outlets"] == ["readmission_predictions"]
    assert tasks["batch_inference.load"]["outlets"] == []


def test_assets_do_not_wait_for_an_observer_step(manifests, tmp_path):
    from labs.manifests import manifest, step

    from zenml_airflow.manifest.manifest import write_manifest

    shutil.copytree(manifests, tmp_path / "state")
    steps = (step("load"), step("publish", "load"), step("watch", "publish", observer=True))
    digest = json.loads((manifests / "manifests" / "batch_inference.json").read_text())["config_digest"]
    write_manifest(manifest("batch_inference", steps, config_digest=digest), tmp_path / "state" / "manifests")
    (dag,) = parsed(ROOT / "dags" / "readmission_batch_inference.py", tmp_path / "state")["dags"]
    outlets = {name.rpartition(".")[2]: task["outlets"] for name, task in dag["tasks"].items()}
    assert outlets == {"partition_complete": [], "load": [], "publish": ["readmission_predictions"], "watch": []}


def test_pipeline_granularity_is_one_task_that_keeps_the_strictest_retry(manifests, tmp_path):
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    config = tmp_path / "configs" / "local.yaml"
    config.write_text(config.read_text().replace("airflow:\n", "airflow:\n  granularity: pipeline\n"))
    path = ROOT / "dags" / "readmission_batch_inference.py"
    (dag,) = parsed(path, manifests, MLOPS_PROJECT_ROOT=str(tmp_path))["dags"]
    task = dag["tasks"]["batch_inference.run"]
    assert task["steps"] == ["load", "train", "gate"]
    assert task["retries"] == 0
    assert task["timeout"] == 180
    assert task["outlets"] == ["readmission_predictions"]


def test_a_promotion_asks_between_the_comparison_and_the_stage(manifests):
    (dag,) = parsed(ROOT / "dags" / "readmission_promotion.py", manifests)["dags"]
    upstream = {name: task["upstream"] for name, task in dag["tasks"].items()}
    assert "champion_challenger.gate" in upstream["decision"]
    assert upstream["champion_challenger.load"] == ["candidate"]
    assert upstream["approval"] == ["decision"]
    assert upstream["promote"] == ["approval", "decision"]
    assert upstream["notification"] == ["promote"]
    (training,) = parsed(ROOT / "dags" / "readmission_training.py", manifests)["dags"]
    assert training["tasks"]["training.gate"]["outlets"] == ["readmission_candidate"]


def test_what_monitoring_found_is_published_behind_it_and_may_start_a_training(manifests):
    (dag,) = parsed(ROOT / "dags" / "readmission_monitoring.py", manifests)["dags"]
    assert dag["tasks"]["publish_events"]["upstream"] == ["monitoring.gate"]
    assert dag["tasks"]["monitoring.gate"]["outlets"] == []
    assert dag["tasks"]["publish_events"]["outlets"] == ["published_by_publish_events"]


def test_a_promotion_may_have_a_schedule_too(manifests, tmp_path):
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    config = tmp_path / "configs" / "local.yaml"
    text = config.read_text()
    added = "  schedules:\n    promotion: {cron: '0 6 * * 1', start_date: 2026-01-01}\n"
    assert text.count("  schedules:\n") == 1
    config.write_text(text.replace("  schedules:\n", added))
    path = ROOT / "dags" / "readmission_promotion.py"
    (dag,) = parsed(path, manifests, MLOPS_PROJECT_ROOT=str(tmp_path))["dags"]
    assert dag["timetable"] == "AssetOrTimeSchedule"


def test_a_missing_manifest_is_an_import_error_with_the_way_out(tmp_path):
    result = parse(ROOT / "dags" / "readmission_training.py", tmp_path)
    assert result.returncode != 0
    assert "mlops deploy training" in result.stderr


def test_a_configuration_that_was_not_deployed_is_an_import_error(manifests, tmp_path):
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    config = tmp_path / "configs" / "base.yaml"
    config.write_text(config.read_text().replace("decision_threshold: 0.20", "decision_threshold: 0.30"))
    batch, training = (ROOT / "dags" / f"readmission_{name}.py" for name in ("batch_inference", "training"))
    result = parse(batch, manifests, MLOPS_PROJECT_ROOT=str(tmp_path))
    assert result.returncode != 0
    assert "'batch_inference' is stale" in result.stderr
    assert "mlops deploy batch_inference --env local" in result.stderr
    assert parse(training, manifests, MLOPS_PROJECT_ROOT=str(tmp_path)).returncode == 0
