"""What a promotion DAG waits for, judged on real versions in a real store."""

from __future__ import annotations

import asyncio

import pytest
from labs.version_bench import forget_models, make_versions
from zenml import log_metadata
from zenml.client import Client
from zenml.enums import ArtifactType

from zenml_airflow.client.api import read_local
from zenml_airflow.client.candidates import MODEL_ARTIFACT_TYPE, CandidateCondition, ValidityCondition
from zenml_airflow.client.conditions import ConditionError, Entity, Outcome, judge
from zenml_airflow.contracts.model_records import COMPARISON_METADATA, Comparison
from zenml_airflow.sensors.candidate import CandidateTrigger
from zenml_mlops.promotion import (
    PromotionRefusedError,
    archive,
    candidate_or_refusal,
    decide,
    latest_candidate,
    promote,
)

pytestmark = pytest.mark.trained

WHERE = {"environment": "local"}


@pytest.fixture(autouse=True)
def clean():
    yield
    forget_models()


def candidate(model, **changes):
    return judge(CandidateCondition(**{"model": model, "stage": "production", **changes}), read_local)


def validity(model, **changes):
    given = {"model": model, "version": 2, "target": "production", "champion": 1, "accepted": ("better",)}
    return judge(ValidityCondition(**{**given, **changes}), read_local)


def compared(model, number, verdict):
    version = Client().get_model_version(model, number)
    recorded = Comparison(challenger=number, verdict=verdict, reason="Measured.").model_dump(mode="json")
    log_metadata(metadata={COMPARISON_METADATA: recorded}, model_version_id=version.id)


def test_the_bridge_asks_for_what_zenml_calls_a_model():
    assert ArtifactType.MODEL.value == MODEL_ARTIFACT_TYPE


def test_a_model_that_does_not_exist_is_waited_for():
    found = candidate("nobody_knows")
    assert found.outcome is Outcome.WAITING
    assert "no version is a candidate" in found.message


def test_the_newest_version_with_passed_gates_and_a_completed_run_is_the_candidate():
    make_versions("newest", True, True, False)
    found = candidate("newest")
    assert found.outcome is Outcome.MET
    assert (found.found["version"], found.found["champion"], found.found["stage"]) == (2, None, None)
    assert not found.found["named"]


def test_what_is_in_production_older_archived_or_rejected_is_no_candidate():
    make_versions("others", True, True, True, True)
    promote("others", 2, **WHERE)
    archive("others", 4, reason="It reads a file that is gone.", **WHERE)
    decide("others", 3, approved=False, reason="Worse for the oldest.", actor="user:ann")
    found = candidate("others")
    assert found.outcome is Outcome.WAITING
    assert "newer than 2" in found.message
    assert "it is archived" in found.message
    decide("others", 3, approved=True, reason="Looked at it once more.", actor="user:ann")
    assert candidate("others").found["version"] == 3


def test_the_command_and_the_dag_agree_that_a_rejection_concerns_its_stage_alone():
    make_versions("agreed", True, True)
    decide("agreed", 2, approved=False, reason="Worse for the oldest.", actor="user:ann")
    for stage, number in (("production", 1), ("staging", 2)):
        assert candidate("agreed", stage=stage).found["version"] == number
        assert latest_candidate("agreed", stage) == number
    assert promote("agreed", candidate_or_refusal("agreed", "staging"), "staging", **WHERE).changed
    # What is in the stage already may be named again, and changes nothing.
    assert candidate("agreed", stage="staging").outcome is Outcome.WAITING
    assert candidate_or_refusal("agreed", "staging") == 2


def test_without_a_candidate_both_say_why():
    make_versions("bad", False)
    with pytest.raises(PromotionRefusedError) as error:
        candidate_or_refusal("bad")
    assert str(error.value).startswith(candidate("bad").message)
    assert "version 1: its run 'gated-" in str(error.value)


@pytest.mark.parametrize(
    ("version", "complaint"),
    [(1, "is in production already"), (2, r"ended with status failed"), (9, "has no version 9")],
)
def test_a_named_version_that_will_never_fit_is_refused(version, complaint):
    make_versions("named", True, False)
    promote("named", 1, **WHERE)
    found = candidate("named", version=version)
    assert found.outcome is Outcome.FAILED
    assert complaint in found.message


def test_a_named_version_may_be_older_than_the_one_in_the_stage():
    make_versions("older", True, True)
    promote("older", 2, **WHERE)
    found = candidate("older", version=1)
    assert (found.outcome, found.found["named"]) == (Outcome.MET, True)


def test_a_required_gate_that_was_not_judged_is_missed():
    make_versions("required", True)
    assert candidate("required", required=("floor",)).outcome is Outcome.MET
    found = candidate("required", version=1, required=("floor", "fair"))
    assert found.outcome is Outcome.FAILED
    assert "['fair'] were not evaluated" in found.message


def test_a_condition_that_names_no_stage_is_refused():
    with pytest.raises(ConditionError, match=r"stage"):
        CandidateCondition.parse({"model": "m", "stage": ""})


def test_a_candidate_stands_until_something_happens_to_it():
    make_versions("stands", True, True, True)
    promote("stands", 1, **WHERE)
    assert validity("stands").outcome is Outcome.WAITING
    compared("stands", 3, "worse")
    assert validity("stands").outcome is Outcome.WAITING
    compared("stands", 3, "better")
    found = validity("stands")
    assert found.outcome is Outcome.FAILED
    assert "is superseded by version 3" in found.message
    assert validity("stands", named=True).outcome is Outcome.WAITING
    decide("stands", 3, approved=False, reason="Worse for the oldest.", actor="user:ann")
    assert validity("stands").outcome is Outcome.WAITING


def test_each_change_that_ends_a_candidacy_says_what_it_was():
    make_versions("ends", True, True, True)
    promote("ends", 1, **WHERE)
    promote("ends", 3, **WHERE)
    assert "was compared with 1, and production now holds 3" in validity("ends").message
    assert "from no stage to production" in validity("ends", version=3).message
    decide("ends", 2, approved=False, reason="Worse for the oldest.", actor="user:ann")
    assert "rejected meanwhile by user:ann" in validity("ends", champion=3).message
    assert "was deleted" in validity("ends", version=9).message


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_candidate_that_enters_the_stage_between_two_queries_was_moved(nth):
    model = f"enters_{nth}"
    make_versions(model, True, True)
    promote(model, 1, **WHERE)
    asked = []

    def read(query):
        asked.append(query)
        if len(asked) == nth:
            promote(model, 2, **WHERE)
        return read_local(query)

    condition = ValidityCondition(model=model, version=2, target="production", champion=1)
    found = judge(condition, read)
    assert len(asked) >= nth
    if found.outcome is Outcome.WAITING:
        found = judge(condition, read_local)
    assert "was moved meanwhile, from no stage to production" in found.message


def test_a_thousand_waiting_triggers_ask_zenml_once(monkeypatch):
    asked = []

    def read(query):
        asked.append(query)
        return read_local(query)

    monkeypatch.setattr("zenml_airflow.client.api.read_local", read)
    monkeypatch.setattr("zenml_airflow.sensors.triggers.DEFERRED_SECONDS", 0)
    condition = CandidateCondition(model="crowded", stage="production")
    make_versions("crowded", False)

    async def wait_and_be_told():
        triggers = [CandidateTrigger.watching(condition, 0.5, None) for _ in range(1000)]
        events = [asyncio.ensure_future(anext(trigger.run())) for trigger in triggers]
        while not asked:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        first = [query.entity for query in asked]
        await asyncio.to_thread(_let_in, "crowded")
        return first, [event.payload for event in await asyncio.gather(*events)]

    first, payloads = asyncio.run(wait_and_be_told())
    assert first.count(Entity.PIPELINE_RUN) <= 2
    assert len(first) <= 8
    assert {payload["outcome"] for payload in payloads} == {"met"}
    assert {payload["found"]["version"] for payload in payloads} == {2}


def _let_in(model):
    from labs.version_bench import artifacts
    from zenml.models import ModelVersionArtifactRequest

    client = Client()
    version = client.create_model_version(model_name_or_id=model)
    client.zen_store.create_model_version_artifact_link(
        ModelVersionArtifactRequest(model_version=version.id, artifact_version=artifacts().good)
    )
