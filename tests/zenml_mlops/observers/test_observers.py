"""The observers on real runs: what they tell, and that they never change a result."""

from __future__ import annotations

import json
import socket
from typing import Annotated

import pandas as pd
import pytest
from prometheus_client.parser import text_string_to_metric_families
from zenml import ArtifactConfig, Model, log_metadata, pipeline, step
from zenml.client import Client
from zenml.enums import ArtifactType, StackComponentType

from governance.hooks.observers import observe_failure, observe_success
from zenml_mlops.audit import AUDIT_LOG_ENV, open_log
from zenml_mlops.gates.limits import Estimate, GateFailedError, GateLimits, Judge, Limit, MetricReport
from zenml_mlops.gates.steps import quality_gate
from zenml_mlops.hooks.events import METRICS_DIR_ENV, STATSD_ENV
from zenml_mlops.materializers import ParquetMaterializer
from zenml_mlops.observers.observing import HOOK_FAILURES

pytestmark = pytest.mark.trained

FLOOR = GateLimits(limits={"floor": Limit(metric="auc", judge=Judge.VALUE, minimum=0.6, why="Skill.")})


@step(enable_cache=False, output_materializers={"frame": ParquetMaterializer})
def make() -> Annotated[pd.DataFrame, "frame"]:
    return pd.DataFrame({"x": range(123)})


@step(enable_cache=False)
def use(frame: pd.DataFrame, fail: bool) -> Annotated[int, "count"]:
    if fail:
        raise ValueError("the step's own error")
    return len(frame)


@pipeline(enable_cache=False, on_success=observe_success, on_failure=observe_failure)
def observed(fail: bool = False) -> None:
    use(make(), fail=fail)


def run_observed(**arguments):
    """Run it, and return ZenML's record, whatever came of it."""
    try:
        observed(**arguments)
        error = None
    except (RuntimeError, ValueError) as caught:
        error = caught
    return Client().get_pipeline("observed").last_run, error


@pytest.fixture(autouse=True)
def log(tmp_path, monkeypatch):
    location = str(tmp_path / "log.jsonl")
    monkeypatch.setenv(AUDIT_LOG_ENV, location)
    monkeypatch.delenv(STATSD_ENV, raising=False)
    monkeypatch.delenv(METRICS_DIR_ENV, raising=False)
    return open_log(location)


@pytest.fixture
def statsd(monkeypatch):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.5)
        monkeypatch.setenv(STATSD_ENV, f"127.0.0.1:{server.getsockname()[1]}")

        def received():
            lines = []
            while True:
                try:
                    lines += server.recv(65536).decode().splitlines()
                except TimeoutError:
                    return dict(line.split(":", 1) for line in lines)

        yield received


def test_statsd_hears_duration_rows_memory_and_success(statsd):
    run, error = run_observed()
    assert error is None
    heard = statsd()
    assert heard["zenml.step.observed.use.rows"] == "123|g"
    assert heard["zenml.step.observed.use.success"] == "1|c"
    duration = float(heard["zenml.step.observed.use.duration"].removesuffix("|ms"))
    assert 0 < duration < 60_000
    assert float(heard["zenml.step.observed.use.peak_bytes"].removesuffix("|g")) > 50e6
    assert "zenml.step.observed.make.rows" not in heard
    assert HOOK_FAILURES not in run.run_metadata


def test_a_failed_step_is_told_as_failed(statsd, log):
    run, error = run_observed(fail=True)
    assert error is not None
    assert run.status.value == "failed"
    assert statsd()["zenml.step.observed.use.failure"] == "1|c"
    ended = [(entry["subject"], entry["outcome"], entry.get("reason")) for entry in map(json.loads, log.lines())]
    assert ended == [("step:observed/make", "done", None), ("step:observed/use", "failed", "ValueError")]


def test_a_text_file_of_a_step_is_openmetrics(tmp_path, monkeypatch):
    monkeypatch.setenv(METRICS_DIR_ENV, str(tmp_path / "metrics"))
    run_observed()
    (text,) = [path.read_text() for path in (tmp_path / "metrics").glob("zenml_observed_use.prom")]
    found = {f.name: f.samples[0] for f in text_string_to_metric_families(text)}
    assert found["zenml_step_rows"].value == 123
    assert found["zenml_step_rows"].labels == {"pipeline": "observed", "step": "use"}
    assert found["zenml_step_success"].value == 1
    assert found["zenml_step_duration_seconds"].value > 0


def test_an_observer_that_fails_is_visible_and_changes_nothing(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(AUDIT_LOG_ENV, str(tmp_path / "file" / "log"))
    monkeypatch.setenv(STATSD_ENV, "nonsense")
    run, error = run_observed()
    assert error is None
    assert run.status.value == "completed"
    failures = run.run_metadata[HOOK_FAILURES]
    assert [failure.split(":")[0] for failure in failures] == ["make", "make", "use", "use"]
    assert "monitoring_hook: ValueError: MLOPS_STATSD must be HOST:PORT" in failures[0]
    assert "compliance_hook: AuditError" in failures[1]
    assert "The hook compliance_hook failed; the result of step use stays." in caplog.text


def test_a_failing_observer_does_not_hide_the_steps_own_error(monkeypatch):
    monkeypatch.setenv(STATSD_ENV, "nonsense")
    run, _ = run_observed(fail=True)
    assert run.status.value == "failed"
    assert run.steps["use"].status.value == "failed"
    assert "the step's own error" in run.steps["use"].exception_info.traceback
    assert run.run_metadata[HOOK_FAILURES]


# ---------------------------------------------------------------- MLflow


@step(enable_cache=False)
def track(
    auc: float,
) -> tuple[
    Annotated[str, ArtifactConfig(name="model", artifact_type=ArtifactType.MODEL)], Annotated[MetricReport, "m"]
]:
    import mlflow

    mlflow.log_metric("auc", auc)
    metrics = MetricReport(
        rows=10,
        positives=1,
        metrics={"auc": Estimate(value=auc, lower=auc, upper=auc)},
        confidence=0.9,
        resamples=1,
        resampled_unit="row",
    )
    return "model", metrics


@step(enable_cache=False)
def register() -> None:
    made = {"data": {"sha256": "ab" * 32}, "provenance": {"commit": "c" * 40}}
    log_metadata(
        metadata={"training": made, "dag_id": "a_dag", "dag_run_id": "a_run"}, run_id_name_or_prefix=_run_id()
    )


@step(enable_cache=False)
def last() -> None:
    return None


def _run_id():
    from zenml import get_step_context

    return get_step_context().pipeline_run.id


@pipeline(enable_cache=False, on_success=observe_success, on_failure=observe_failure)
def tracked(auc: float = 0.7) -> None:
    model = Model(name="tracked", save_models_to_registry=False)
    _, metrics = track.with_options(model=model, experiment_tracker=True)(auc)
    quality_gate.with_options(model=model)(metrics, gate=FLOOR)
    register.with_options(model=model)(after="quality_gate")
    last.with_options(model=model)(after="register")


@pytest.fixture(scope="module")
def tracking(tmp_path_factory):
    """A stack with an MLflow tracker, active for these tests."""
    import mlflow

    uri = f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"
    client = Client()
    client.create_stack_component(
        "tracker-of-hooks", "mlflow", StackComponentType.EXPERIMENT_TRACKER, {"tracking_uri": uri}
    )
    before = client.active_stack_model
    parts = {kind: components[0].id for kind, components in before.components.items()}
    client.create_stack("hooks", {**parts, StackComponentType.EXPERIMENT_TRACKER: "tracker-of-hooks"})
    client.activate_stack("hooks")
    yield mlflow.MlflowClient(uri)
    client.activate_stack(before.id)
    client.delete_stack("hooks", recursive=False)
    client.delete_stack_component("tracker-of-hooks", StackComponentType.EXPERIMENT_TRACKER)


def tags_of(client):
    (run,) = (Client().get_pipeline("tracked").last_run.steps["track"].run_metadata["mlflow_run_id"],)
    return client.get_run(run).data.tags


def test_mlflow_learns_what_autologging_cannot_know(tracking):
    tracked()
    tags = tags_of(tracking)
    run = Client().get_pipeline("tracked").last_run
    assert run.status.value == "completed"
    assert HOOK_FAILURES not in run.run_metadata
    assert tags["gates"] == "passed"
    assert tags["gate.floor"] == "passed"
    assert tags["data_sha256"] == "ab" * 32
    assert tags["git_commit"] == "c" * 40
    assert tags["zenml_run"] == str(run.id)
    assert tags["airflow_run"] == "airflow:a_dag/a_run"
    assert tags["model_version"] == "tracked/1"


def test_mlflow_learns_that_a_gate_refused_the_model(tracking):
    with pytest.raises((RuntimeError, GateFailedError)):
        tracked(auc=0.5)
    tags = tags_of(tracking)
    assert (tags["gates"], tags["gate.floor"], tags["failed_step"]) == ("failed", "failed", "quality_gate")
