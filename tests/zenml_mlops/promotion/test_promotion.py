"""Promotion decides by the run that made the version; every case on real ZenML objects."""

from __future__ import annotations

import contextlib

import pytest
from labs.version_bench import FLOOR, make
from zenml import Model, pipeline, step
from zenml.client import Client

from zenml_mlops.gates.limits import MetricReport
from zenml_mlops.gates.steps import quality_gate
from zenml_mlops.promotion import PromotionRefusedError, latest_candidate, promote

pytestmark = pytest.mark.trained


@step(enable_cache=False)
def explode() -> None:
    raise ValueError("boom")


@pipeline(enable_cache=False)
def with_gate(name: str, auc: float, fail: bool = False) -> None:
    model = Model(name=name, save_models_to_registry=False)
    _, metrics = make.with_options(model=model)(auc)
    quality_gate.with_options(model=model)(metrics, gate=FLOOR)
    if fail:
        explode(after="quality_gate")


@pipeline(enable_cache=False)
def without_gate(name: str) -> None:
    make.with_options(model=Model(name=name, save_models_to_registry=False))(0.9)


def run(flow, **kwargs) -> None:
    """Run on the local orchestrator; a failed run is part of what is tested."""
    with contextlib.suppress(RuntimeError):
        flow(**kwargs)


def stages(name: str) -> dict[int, str | None]:
    return {int(v.number): v.stage for v in Client().list_model_versions(model=name, sort_by="asc:number")}


def test_good_version_is_promoted_and_the_old_one_archived():
    run(with_gate, name="good", auc=0.7)
    run(with_gate, name="good", auc=0.8)
    first = promote("good", 1)
    assert (first.changed, first.archived_version) == (True, None)
    second = promote("good", 2)
    assert (second.changed, second.archived_version) == (True, 1)
    assert str(second) == "good version 2 is in production now; version 1 is archived."
    assert stages("good") == {1: "archived", 2: "production"}
    again = promote("good", 2)
    assert (again.changed, again.archived_version) == (False, None)
    assert "nothing changed" in str(again)


def test_staging_and_production_are_apart():
    run(with_gate, name="two_stages", auc=0.7)
    assert promote("two_stages", 1, "staging").stage == "staging"
    assert promote("two_stages", 1, "production").changed
    assert stages("two_stages") == {1: "production"}


def test_failed_gate_is_refused():
    run(with_gate, name="weak", auc=0.5)
    with pytest.raises(PromotionRefusedError, match=r"failed, not completed.*\['floor'\] failed"):
        promote("weak", 1)
    assert stages("weak") == {1: None}


def test_passed_gate_in_a_failed_run_is_refused():
    run(with_gate, name="broken_run", auc=0.9, fail=True)
    with pytest.raises(PromotionRefusedError, match="is failed, not completed") as error:
        promote("broken_run", 1)
    assert "the gates" not in str(error.value)


def test_version_without_gate_results_is_refused():
    run(without_gate, name="ungated")
    with pytest.raises(PromotionRefusedError, match="recorded no gate results"):
        promote("ungated", 1)


def test_version_made_by_hand_is_refused():
    client = Client()
    client.create_model(name="handmade")
    client.create_model_version(model_name_or_id="handmade")
    with pytest.raises(PromotionRefusedError, match="no run that produced"):
        promote("handmade", 1)


def test_a_later_good_run_does_not_vouch_for_an_earlier_bad_one():
    run(with_gate, name="mixed", auc=0.5)
    run(with_gate, name="mixed", auc=0.9)
    with pytest.raises(PromotionRefusedError):
        promote("mixed", 1)
    assert latest_candidate("mixed") == 2


def test_the_newest_version_is_no_candidate_if_it_failed():
    run(with_gate, name="regressed", auc=0.9)
    run(with_gate, name="regressed", auc=0.5)
    assert latest_candidate("regressed") == 1


@pytest.mark.parametrize("name", ["regressed", "no_such_model"])
def test_unknown_version_is_refused_with_the_known_ones(name):
    with pytest.raises(PromotionRefusedError, match=r"has no version 99. Known versions"):
        promote(name, 99)


def test_unknown_stage_is_refused():
    with pytest.raises(PromotionRefusedError, match="'live' is not a stage"):
        promote("good", 1, "live")


def test_model_without_versions_has_no_candidate():
    assert latest_candidate("no_such_model") is None


@step(enable_cache=False)
def swallow(metrics: MetricReport) -> None:
    """What a data scientist in a hurry might write."""
    with contextlib.suppress(Exception):
        quality_gate.entrypoint(metrics, FLOOR)


@pipeline(enable_cache=False)
def with_swallowed_gate(name: str) -> None:
    model = Model(name=name, save_models_to_registry=False)
    _, metrics = make.with_options(model=model)(0.5)
    swallow.with_options(model=model)(metrics)


def test_a_step_that_swallows_the_gates_error_gets_no_version_promoted():
    run(with_swallowed_gate, name="swallowed")
    (found,) = Client().list_pipeline_runs(pipeline="with_swallowed_gate").items
    assert found.status.value == "completed"
    with pytest.raises(PromotionRefusedError, match=r"the gates \['floor'.*failed"):
        promote("swallowed", 1)


def test_policies_of_the_environment_count_at_promotion():
    run(with_gate, name="undocumented", auc=0.9)
    with pytest.raises(PromotionRefusedError) as error:
        promote("undocumented", 1, environment="production")
    for policy in ("model-card", "model-data-digest", "model-commit", "model-environment", "model-approval"):
        assert f"- {policy} (model_version:undocumented/1)" in str(error.value)
    assert stages("undocumented") == {1: None}


def test_an_environment_that_this_zenml_does_not_serve_is_refused():
    client = Client()
    parts = {kind: models[0].id for kind, models in client.get_stack("default").components.items()}
    stack = client.create_stack("hospital", components=parts, labels={"environment": "production"})
    try:
        with pytest.raises(PromotionRefusedError, match=r"serves \['production'\], not 'local'"):
            promote("good", 1, environment="local")
    finally:
        client.delete_stack(stack.id)
