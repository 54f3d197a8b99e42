"""Every policy: what keeps it passes, what breaks it is blocked, waived or only reported, as its file says."""

import json
from datetime import date, timedelta

import pytest
from samples import BROKEN, DAG, GOOD, IMPORTED, PIPELINE, STACK, but

from zenml_mlops.policy.engine import PolicyViolationError, judge
from zenml_mlops.policy.facts import StackFacts, subject_name
from zenml_mlops.policy.sarif import to_sarif
from zenml_mlops.policy.schema import Mode, load_policies
from zenml_mlops.policy.waivers import Waiver

TODAY = date(2026, 3, 1)
NOT_LOCAL = but(STACK, environment="production", used_for="production")


def in_production(facts):
    """Samples are of staging; production asks the same of all but the stack's label."""
    return but(facts, used_for="production") if isinstance(facts, StackFacts) else facts


def test_what_keeps_every_policy_passes():
    kept = [IMPORTED, NOT_LOCAL, *(f for f in GOOD if f is not STACK)]
    assessment = judge(kept, "production", waivers=(), today=TODAY)
    assert [v for v in assessment.verdicts if not v.passed] == []
    assert {v.policy for v in assessment.verdicts} == {p.id for p in load_policies()}
    assert assessment.enforce("All of it") is assessment


def test_every_policy_has_a_sample_that_breaks_it():
    assert {policy for policy, _, _ in BROKEN} == {policy.id for policy in load_policies()}


@pytest.mark.parametrize(
    ("policy", "facts", "says"), BROKEN, ids=[f"{p}-{i}" for i, (p, _, _) in enumerate(BROKEN)]
)
def test_what_breaks_a_policy_is_blocked_with_the_way_out(policy, facts, says):
    if isinstance(facts, StackFacts) and facts.environment == "staging":
        facts = but(facts, environment="production", used_for="production")
    assessment = judge([in_production(facts)], "production", waivers=(), today=TODAY)
    blocked = {v.policy for v in assessment.blocking}
    assert policy in blocked
    # A local flavor breaks the list of flavors alone; nothing else is hit by accident.
    assert len(blocked) == 1, assessment.explain()
    (verdict,) = assessment.blocking
    assert says in verdict.message
    with pytest.raises(PolicyViolationError) as error:
        assessment.enforce("It")
    assert str(error.value).startswith("It is refused by 1 policies:\n")
    assert verdict.remedy in str(error.value)
    assert subject_name(facts) in str(error.value)


def test_a_dry_run_reports_and_stops_nothing():
    assessment = judge([but(DAG, tags=())], "local", waivers=(), today=TODAY).enforce("Parsing")
    assert [(v.policy, v.mode) for v in assessment.warnings] == [("dag-tags", Mode.DRY_RUN)]


def test_an_environment_that_nobody_named_enforces_everything():
    assessment = judge([but(DAG, tags=())], "qa", waivers=(), today=TODAY)
    assert [v.policy for v in assessment.blocking] == ["dag-tags"]
    assert all(policy.mode_in("qa") is Mode.ENFORCE for policy in load_policies())


def test_all_violations_come_at_once():
    bad = but(PIPELINE, labels={}, tags=(), guarded=False)
    assessment = judge([bad], "production", waivers=(), today=TODAY)
    assert {v.policy for v in assessment.blocking} == {"pipeline-labels", "required-tags", "guarded-start"}
    assert assessment.explain().count("\n") == 2
    (labels,) = [v for v in assessment.blocking if v.policy == "pipeline-labels"]
    assert len(labels.violations) == 3


def waiver(**changes):
    made = {
        "policy": "dag-tags",
        "subject": "dag:nightly",
        "who": "j.doe",
        "why": "Moves next week.",
        "until": TODAY,
    }
    return Waiver(**{**made, **changes})


@pytest.mark.parametrize(
    ("granted", "blocks"),
    [
        (waiver(), False),
        (waiver(until=TODAY - timedelta(days=1)), True),
        (waiver(subject="dag:weekly"), True),
        (waiver(policy="dag-owner"), True),
        (waiver(environments=("staging",)), True),
        (waiver(environments=("staging", "production")), False),
    ],
)
def test_a_waiver_holds_for_its_policy_subject_environment_and_time(granted, blocks):
    assessment = judge([but(DAG, tags=())], "production", waivers=(granted,), today=TODAY)
    assert bool(assessment.blocking) is blocks
    (verdict,) = [v for v in assessment.verdicts if v.policy == "dag-tags"]
    assert not verdict.passed
    if not blocks:
        assert "waived by j.doe until 2026-03-01: Moves next week." in verdict.message


def test_a_waiver_past_its_date_is_named_in_the_refusal():
    old = waiver(until=date(2026, 2, 1))
    assessment = judge([but(DAG, tags=())], "production", waivers=(old,), today=TODAY)
    assert "its waiver ended on 2026-02-01" in assessment.explain()


def test_sarif_names_the_rule_the_subject_and_the_waiver():
    bad = but(DAG, tags=(), states_catchup=False)
    assessment = judge([bad], "production", waivers=(waiver(),), today=TODAY)
    log = json.loads(to_sarif(assessment, load_policies(), ["one.py cannot be parsed"]))
    (run,) = log["runs"]
    waived, blocking = sorted(run["results"], key=lambda item: item["level"], reverse=True)
    assert (blocking["ruleId"], blocking["level"]) == ("dag-catchup", "error")
    assert (waived["ruleId"], waived["level"]) == ("dag-tags", "warning")
    assert "j.doe until 2026-03-01" in waived["suppressions"][0]["justification"]
    rules = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert {"dag-catchup", "dag-tags"} <= rules
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    assert invocation["toolExecutionNotifications"][0]["message"]["text"] == "one.py cannot be parsed"
