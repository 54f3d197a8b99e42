"""Gates, run starts and promotions leave entries, and ZenML remembers how far the log went."""

from __future__ import annotations

import contextlib

import pytest
from labs.version_bench import FLOOR, make
from zenml import Model, pipeline
from zenml.client import Client

from zenml_mlops.audit import AUDIT_LOG_ENV, HEAD_METADATA, AuditError, open_log, verify
from zenml_mlops.audit.entries import parse_entry
from zenml_mlops.audit.heads import remembered_heads
from zenml_mlops.enforcement.run_start import check_run_start
from zenml_mlops.gates.steps import quality_gate
from zenml_mlops.promotion import PromotionRefusedError, promote

pytestmark = pytest.mark.trained


@pipeline(enable_cache=False, on_init=check_run_start)
def audited(name: str, auc: float) -> None:
    model = Model(name=name, save_models_to_registry=False)
    _, metrics = make.with_options(model=model)(auc)
    quality_gate.with_options(model=model)(metrics, gate=FLOOR)


@pytest.fixture
def log(tmp_path, monkeypatch):
    location = str(tmp_path / "log.jsonl")
    monkeypatch.setenv(AUDIT_LOG_ENV, location)
    return open_log(location)


def seen(log):
    entries = [parse_entry(line[:-1]) for line in log.lines()]
    return [(entry.action, entry.subject, entry.outcome.value) for entry in entries], entries


def test_each_decision_on_a_version_has_an_entry_and_zenml_remembers_the_last(log):
    of_other_logs = set(remembered_heads())
    audited(name="audited-good", auc=0.7)
    with contextlib.suppress(RuntimeError):
        audited(name="audited-bad", auc=0.5)
    promote("audited-good", 1)
    promote("audited-good", 1)  # changes nothing, so decides nothing
    with pytest.raises(PromotionRefusedError):
        promote("audited-bad", 1)
    outcomes, entries = seen(log)
    good, bad = "model_version:audited-good/1", "model_version:audited-bad/1"
    assert [found for found in outcomes if found[0] != "start_run"] == [
        ("gate", "model:audited", "allowed"),
        ("gate", "model:audited", "refused"),
        ("promote", good, "allowed"),
        ("promote", good, "done"),
        ("promote", bad, "refused"),
    ]
    assert {outcome for action, _, outcome in outcomes if action == "start_run"} == {"allowed"}
    gate = next(entry for entry in entries if entry.action == "gate")
    assert gate.verdicts[0]["gate"] == "floor"
    run = Client().get_pipeline_run(gate.links["zenml_run"])
    assert run.run_metadata[HEAD_METADATA] == gate.head.model_dump()
    version = Client().get_model_version("audited-bad", 1)
    assert version.run_metadata[HEAD_METADATA] == entries[-1].head.model_dump()

    heads = {where: head for where, head in remembered_heads().items() if where not in of_other_logs}
    assert set(heads) >= {"model version audited-good/1", "model version audited-bad/1", f"ZenML run {run.name}"}
    found = verify(log.lines(), heads)
    assert (found.whole, found.entries, found.checkpoints) == (True, len(entries), len(heads))
    cut = list(log.lines())[:-1]
    assert verify(cut).whole
    assert verify(cut, heads).broken == len(entries)


def test_a_version_is_not_promoted_if_that_cannot_be_recorded(log, tmp_path, monkeypatch):
    audited(name="unrecorded", auc=0.7)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(AUDIT_LOG_ENV, str(tmp_path / "file" / "log"))
    with pytest.raises(AuditError):
        promote("unrecorded", 1)
    assert Client().get_model_version("unrecorded", 1).stage in (None, "none")


def test_a_gate_whose_verdict_cannot_be_recorded_lets_nothing_pass(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(AUDIT_LOG_ENV, str(tmp_path / "file" / "log"))
    monkeypatch.setattr("zenml_mlops.enforcement.run_start.record", lambda *_, **__: None)
    with pytest.raises(RuntimeError):
        audited(name="gate-unrecorded", auc=0.7)
    assert Client().get_pipeline("audited").last_run.steps["quality_gate"].status.value == "failed"
