"""The promotion service: what it says of a candidate, and what it records and changes."""

from __future__ import annotations

import pytest
from labs.version_bench import forget_models, make_versions, stages
from zenml import get_step_context, log_metadata, pipeline, step
from zenml.client import Client

from zenml_airflow.contracts.model_records import (
    COMPARISON_METADATA,
    Comparison,
    ComparisonVerdict,
    Difference,
    approvals,
)
from zenml_airflow.promotion.service import PromotionServiceError, promotion_service
from zenml_mlops.promotion import PromotionRefusedError, decide
from zenml_mlops.promotion import tasks as the_service

pytestmark = pytest.mark.trained

LINKS = {"dag_run": "promotion/run-1", "comparison_run": "none"}


def difference(metric="average_precision", gain=0.01, subject=None, verdict=ComparisonVerdict.BETTER):
    return Difference(
        metric=metric,
        subject=subject,
        rows=1000,
        positives=200,
        challenger=0.2 + gain,
        champion=0.2,
        gain=gain,
        lower=gain - 0.005,
        upper=gain + 0.005,
        margin=0.01,
        verdict=verdict,
    )


COMPARED = Comparison(
    challenger=2,
    champion=1,
    verdict=ComparisonVerdict.BETTER,
    reason="Surely better.",
    differences=(difference(),),
    groups=(
        difference("roc_auc", -0.1, "age [70-80)", ComparisonVerdict.WORSE),
        difference("roc_auc", 0.0, "age [60-70)"),
    ),
)


@step(enable_cache=False)
def say(recorded: dict) -> None:
    if recorded:
        run = get_step_context().pipeline_run.id
        log_metadata(metadata={COMPARISON_METADATA: recorded}, run_id_name_or_prefix=run)


@pipeline(enable_cache=False)
def comparing(recorded: dict) -> None:
    say(recorded)


@pytest.fixture(scope="module")
def comparison_run():
    return str(comparing(recorded=COMPARED.model_dump(mode="json", exclude_none=True)).id)


@pytest.fixture(autouse=True)
def clean():
    yield
    forget_models()


def assess(model, run, **changes):
    given = {"model": model, "version": 2, "stage": "production", "environment": "local", "comparison_run": run}
    return the_service.assess(**{**given, **changes})


def decided(model, version=2):
    return approvals(Client().get_model_version(model, version).run_metadata)


def test_the_bridge_finds_the_service_by_its_entry_point():
    assert promotion_service() is the_service


def test_no_promotion_service_is_an_error_that_says_where_to_name_one(monkeypatch):
    monkeypatch.setattr("zenml_airflow.promotion.service.PROMOTION", "zenml_airflow.nobody")
    with pytest.raises(PromotionServiceError, match=r"zenml_airflow\.nobody"):
        promotion_service()


def test_a_candidate_is_described_with_the_numbers_of_its_comparison(comparison_run):
    make_versions("described", True, True)
    found = assess("described", comparison_run)
    assert (found["champion"], found["verdict"], found["reason"]) == (1, "better", "Surely better.")
    assert found["numbers"] == [
        "average_precision 0.2100 against 0.2000, gain +0.0100, interval [+0.0050, +0.0150]: better",
        "roc_auc of age [70-80) 0.1000 against 0.2000, gain -0.1000, interval [-0.1050, -0.0950]: worse",
    ]
    assert (found["refusals"], found["asks_approval"]) == ([], "")


def test_an_approval_is_asked_for_where_the_policy_demands_it_and_not_twice(comparison_run, monkeypatch):
    make_versions("asked", True, True)
    monkeypatch.setattr("zenml_mlops.promotion.plans.served_environments", lambda: {"production"})
    found = assess("asked", comparison_run, environment="production")
    assert found["asks_approval"] == "nobody has approved it for production"
    assert found["refusals"]
    assert not any("approved" in refusal for refusal in found["refusals"])
    assert assess("asked", comparison_run, environment="production", stage="staging")["asks_approval"] == ""
    decide("asked", 2, approved=True, reason="It is good enough.", actor="user:ann")
    assert assess("asked", comparison_run, environment="production")["asks_approval"] == ""


def test_what_would_be_refused_anyway_is_said_before_a_person_is_asked(comparison_run):
    make_versions("refused", True, False)
    (refusal,) = assess("refused", comparison_run)["refusals"]
    assert refusal.startswith("model-gates: ")
    make_versions("was_rejected", True, True)
    decide("was_rejected", 2, approved=False, reason="Worse for the oldest.", actor="user:ann")
    (refusal,) = assess("was_rejected", comparison_run)["refusals"]
    assert refusal.startswith("user:ann rejected it for production")


def test_a_run_that_compared_nothing_or_another_version_is_refused(comparison_run):
    make_versions("mixed_up", True, True, True)
    nothing = str(comparing(recorded={}).id)
    with pytest.raises(PromotionRefusedError, match="recorded no comparison"):
        assess("mixed_up", nothing)
    with pytest.raises(PromotionRefusedError, match="compared version 2, not version 3"):
        assess("mixed_up", comparison_run, version=3)


def test_a_decision_is_recorded_once_however_often_the_task_tries():
    make_versions("tried_again", True, True)
    told = {"model": "tried_again", "version": 2, "stage": "production", "reason": "It is good enough."}
    for _ in range(2):
        the_service.decide(**told, approved=True, actor="airflow-user:ann", links=LINKS)
    (only,) = decided("tried_again")
    assert (only.by, only.links) == ("airflow-user:ann", LINKS)
    the_service.decide(**told, approved=False, actor="airflow-user:ann", links=LINKS)
    assert [one.approved for one in decided("tried_again")] == [True, False]


def test_a_promotion_is_carried_out_or_says_why_not():
    make_versions("carried_out", True, False)
    told = {"model": "carried_out", "stage": "production", "environment": "local", "reason": "r", "actor": "a"}
    done = the_service.promote(**told, version=1, links=LINKS)
    assert (done["changed"], done["refused"]) == (True, "")
    again = the_service.promote(**told, version=1, links=LINKS)
    assert (again["changed"], again["refused"]) == (False, "")
    refused = the_service.promote(**told, version=2, links=LINKS)
    assert "floor" in refused["refused"]
    assert stages("carried_out") == {1: "production", 2: None}
