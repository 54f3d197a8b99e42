"""Promotion and rollback as state machines: the way back, refusals, two at once, and a kill at each step."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest
from labs.dying import FORK, die_after
from labs.version_bench import artifacts, forget_models, make_versions, stages
from zenml.client import Client
from zenml.zen_stores.sql_zen_store import SqlZenStore

from zenml_mlops.audit import AUDIT_LOG_ENV, open_log, verify
from zenml_mlops.audit.entries import parse_entry
from zenml_mlops.audit.heads import remembered_heads
from zenml_mlops.audit.log import FileLog
from zenml_mlops.policy.schema import Severity, load_policies
from zenml_mlops.promotion import (
    LockedError,
    NothingToRollBackToError,
    PromotionRefusedError,
    State,
    TransitionError,
    archive,
    decide,
    history,
    latest_candidate,
    preview_promotion,
    preview_rollback,
    promote,
    resume,
    rollback,
    withdraw,
)
from zenml_mlops.promotion.lock import StageLock

pytestmark = pytest.mark.trained

WHY = "Because the test asks for it."
EFFECTS = (
    (SqlZenStore, ("create_tag", "delete_tag", "create_run_metadata", "update_model_version")),
    (FileLog, ("append",)),
)
"""Every write of a transition: the lock, plan and end, the stages, the audit log."""


@pytest.fixture(autouse=True)
def log(tmp_path, monkeypatch):
    artifacts()
    location = str(tmp_path / "log.jsonl")
    monkeypatch.setenv(AUDIT_LOG_ENV, location)
    yield open_log(location)
    # They remember heads of a log that is gone, and the store is shared with other modules.
    forget_models()


def entries(log, action=None):
    return [e for e in map(parse_entry, (line[:-1] for line in log.lines())) if action in (None, e.action)]


def test_rollback_goes_back_through_the_recorded_history_and_says_what_it_changed(log):
    make_versions("back", True, True, True)
    for number in (1, 2, 3):
        promote("back", number, reason=f"reason {number}")
    assert str(rollback("back", reason=WHY)) == "back version 2 is in production now; version 3 is archived."
    assert stages("back") == {1: "archived", 2: "production", 3: "archived"}
    assert rollback("back").version == 1
    with pytest.raises(NothingToRollBackToError, match="there is nothing to roll back to"):
        rollback("back")
    # By number, also what was rolled back from.
    assert rollback("back", 3).archived_version == 1
    assert rollback("back").version == 1
    records = history("back")
    assert [(r.plan.number, r.plan.kind.value, r.plan.version, r.plan.previous) for r in records] == [
        (1, "promote", 1, None),
        (2, "promote", 2, 1),
        (3, "promote", 3, 2),
        (4, "rollback", 2, 3),
        (5, "rollback", 1, 2),
        (6, "rollback", 3, 1),
        (7, "rollback", 1, 3),
    ]
    assert {r.state for r in records} == {State.DONE}
    run = Client().get_pipeline_run(records[0].plan.links["training_run"])
    assert run.status.value == "completed"
    assert records[3].plan.reason == WHY
    done = entries(log, "rollback")[1]
    assert (done.outcome.value, done.links["previous"], done.links["transition"]) == ("done", "3", "back/4")
    assert done.reason == "back version 2 is in production now; version 3 is archived."
    assert verify(log.lines()).whole


def test_rollback_refuses_what_was_never_there_what_was_withdrawn_and_what_is_there(log):
    make_versions("refusing", True, True, True, True)
    for number in (1, 2, 3):
        promote("refusing", number)
    with pytest.raises(PromotionRefusedError, match=r"was never in production; these were: \[1, 2\]"):
        rollback("refusing", 4)
    with pytest.raises(PromotionRefusedError, match="is in production already"):
        rollback("refusing", 3)
    assert "withdrawn and never serves again" in str(withdraw("refusing", 2, reason="Trained on spoilt data."))
    with pytest.raises(PromotionRefusedError, match=r"withdrawn by .*: Trained on spoilt data"):
        rollback("refusing", 2)
    with pytest.raises(PromotionRefusedError, match=r"withdrawn by .*: Trained on spoilt data"):
        promote("refusing", 2)
    assert preview_rollback("refusing").plan.version == 1
    assert rollback("refusing").version == 1
    assert [e.outcome.value for e in entries(log, "rollback")] == [
        "refused",
        "refused",
        "refused",
        "allowed",
        "done",
    ]


def test_rollback_refuses_a_version_whose_model_was_deleted():
    make_versions("hollow", True, True)
    promote("hollow", 1)
    promote("hollow", 2)
    version = Client().get_model_version("hollow", 1)
    Client().zen_store.delete_all_model_version_artifact_links(version.id, only_links=True)
    with pytest.raises(PromotionRefusedError, match="model artifact was deleted"):
        rollback("hollow")
    assert stages("hollow") == {1: "archived", 2: "production"}


def test_archive_empties_the_stage_says_so_and_is_no_target_of_a_rollback():
    make_versions("left", True, True)
    promote("left", 1)
    promote("left", 2)
    with pytest.raises(PromotionRefusedError, match="needs a reason"):
        archive("left", 2, reason=" ")
    assert str(archive("left", 2, reason=WHY)) == "left version 2 is archived; production is empty now."
    with pytest.raises(PromotionRefusedError, match="archived already"):
        archive("left", 2, reason=WHY)
    assert str(rollback("left")) == "left version 1 is in production now."


def test_production_is_not_emptied_by_a_promotion_to_staging():
    make_versions("kept", True)
    promote("kept", 1)
    with pytest.raises(PromotionRefusedError, match="production, which would be empty"):
        promote("kept", 1, "staging")
    assert stages("kept") == {1: "production"}


def test_a_rejected_version_stays_out_until_it_is_approved(log):
    make_versions("judged", True, True)
    decide("judged", 2, approved=False, reason="Its recall fell for the oldest.", actor="user:anna")
    assert latest_candidate("judged") == 1
    with pytest.raises(PromotionRefusedError, match=r"user:anna rejected it .* recall fell"):
        promote("judged", 2)
    assert promote("judged", 2, "staging").changed
    decide("judged", 2, approved=True, reason="Measured anew: it did not.", actor="user:bert")
    promote("judged", 2)
    assert history("judged")[-1].plan.approval.by == "user:bert"
    assert entries(log, "promote")[-1].links["approved_by"] == "user:bert"
    with pytest.raises(PromotionRefusedError, match="in production already"):
        decide("judged", 2, approved=False, reason=WHY)


def test_force_waives_what_is_not_critical_for_a_reason_and_nothing_else(log):
    make_versions("forced", True)
    with pytest.raises(PromotionRefusedError, match="needs a reason"):
        promote("forced", 1, environment="production", force=True)
    with pytest.raises(PromotionRefusedError) as error:
        promote("forced", 1, environment="production", force=True, reason=WHY)
    # The approval is critical: no force replaces it.
    assert "- model-approval" in str(error.value)
    assert "- model-card" not in str(error.value)
    decide("forced", 1, approved=True, reason=WHY, actor="user:anna")
    promote("forced", 1, environment="production", force=True, reason=WHY)
    plan = history("forced")[-1].plan
    severities = {policy.id: policy.severity for policy in load_policies()}
    waived = {waiver.policy for waiver in plan.waivers}
    assert waived == {
        "model-card",
        "model-data-digest",
        "model-commit",
        "model-environment",
    }
    assert Severity.CRITICAL not in {severities[policy] for policy in waived}
    assert {waiver.why for waiver in plan.waivers} == {WHY}
    allowed = entries(log, "promote")[-2]
    assert "waived by" in next(v["message"] for v in allowed.verdicts if v["policy"] == "model-card")
    make_versions("forced-bad", False)
    with pytest.raises(PromotionRefusedError, match="model-gates"):
        promote("forced-bad", 1, force=True, reason=WHY)


def test_a_dry_run_says_what_would_happen_and_leaves_no_trace(log):
    make_versions("dry", True, False)
    promote("dry", 1)
    before = (history("dry"), list(log.lines()), stages("dry"))
    preview = preview_promotion("dry", 2)
    assert preview.plan.moves == ("version 2: no stage -> production", "version 1: production -> archived")
    assert "['floor'] failed" in preview.refusals[0]
    assert (history("dry"), list(log.lines()), stages("dry")) == before


def test_a_change_of_the_stages_without_the_service_is_seen_and_repaired():
    make_versions("hand", True, True, True)
    promote("hand", 1)
    client = Client()
    # ZenML's client allows one version a stage; its database does not.
    from sqlmodel import Session, text

    with Session(client.zen_store.engine) as session:
        found = client.get_model_version("hand", 2).id.hex
        session.exec(text(f"UPDATE model_version SET stage = 'production' WHERE id = '{found}'"))
        session.commit()
    assert stages("hand") == {1: "production", 2: "production", 3: None}
    assert str(promote("hand", 3)).endswith("version 1 is archived; version 2 is archived.")
    assert stages("hand") == {1: "archived", 2: "archived", 3: "production"}


def test_of_two_promotions_at_once_one_wins_and_the_other_says_why():
    make_versions("race", True, True)
    barrier, answers = FORK.Barrier(2), FORK.Queue()

    def contend(number):
        Client().zen_store.engine.dispose(close=False)
        barrier.wait()
        try:
            answers.put((number, str(promote("race", number))))
        except LockedError as error:
            answers.put((number, f"locked: {error}"))
        answers.close()
        answers.join_thread()

    children = [FORK.Process(target=contend, args=(number,)) for number in (1, 2)]
    for child in children:
        child.start()
    said = dict(answers.get(timeout=60) for _ in children)
    for child in children:
        child.join(60)
    winners = [number for number, text in said.items() if "is in production now" in text]
    losers = [text for text in said.values() if text.startswith("locked: The stages of 'race' are being changed")]
    # On a slow machine the second may start after the first has ended; then both win, one after the other.
    assert len(winners) + len(losers) == 2
    assert winners
    assert list(stages("race").values()).count("production") == 1
    assert [r.plan.number for r in history("race")] == list(range(1, len(winners) + 1))


def test_while_one_has_the_lock_the_others_are_told_who_and_change_nothing(log):
    make_versions("held", True)
    model = Client().get_model("held")
    with StageLock("held", model.id) as lock:
        for attempt in (lambda: promote("held", 1), lambda: resume("held")):
            with pytest.raises(LockedError, match=r"process \(ZenML user 'default', for \d+ seconds now\)"):
                attempt()
        Client().delete_tag(f"promotion-lock-{model.id}")
        with StageLock("held", model.id), pytest.raises(LockedError, match="taken over by another process"):
            lock.check()
    assert stages("held") == {1: None}
    assert history("held") == ()
    assert promote("held", 1).changed


def test_a_failure_in_zenml_says_what_is_changed(log, monkeypatch):
    make_versions("failing", True)

    def broken(*_, **__):
        raise ConnectionError("the server went away")

    with monkeypatch.context() as patch:
        patch.setattr(SqlZenStore, "update_model_version", broken)
        with pytest.raises(TransitionError, match=r"the server went away\. Nothing was changed"):
            promote("failing", 1)
    assert [r.state for r in history("failing")] == [State.FAILED]
    original = FileLog.append

    def full_disk(self, event):
        if event.outcome.value == "done":
            raise OSError("No space left on device")
        return original(self, event)

    with monkeypatch.context() as patch:
        patch.setattr(FileLog, "append", full_disk)
        with pytest.raises(TransitionError, match=r"No space left .* Version 1 is in production now"):
            promote("failing", 1)
    assert history("failing")[-1].state is State.OPEN
    assert resume("failing") == "failing version 1 is in production now."
    assert history("failing")[-1].outcome.detail == "failing version 1 is in production now."


PROMOTION = (lambda name: promote(name, 2), {1: "production", 2: None}, {1: "archived", 2: "production"})
ROLLBACK = (lambda name: rollback(name), {1: "archived", 2: "production"}, {1: "production", 2: "archived"})
WITHDRAWAL = (
    lambda name: withdraw(name, 1, reason=WHY),
    {1: "production", 2: None},
    {1: "archived", 2: None},
)


@pytest.mark.parametrize(
    ("what", "case", "writes"),
    [("promotion", PROMOTION, 7), ("rollback", ROLLBACK, 7), ("withdrawal", WITHDRAWAL, 7)],
)
def test_killed_after_any_single_write_the_stages_are_legal_and_resume_ends_it(
    what, case, writes, log, monkeypatch
):
    call, before, after = case
    died = 0
    for count in range(1, 20):
        name = f"killed-{what}-{count}"
        make_versions(name, True, True)
        promote(name, 1)
        if what == "rollback":
            promote(name, 2)
        done = len(history(name))
        if not die_after(count, lambda name=name: call(name), EFFECTS):
            break
        died += 1
        assert stages(name) in (before, after)
        left = bool(Client().list_tags(name=f"promotion-lock-{Client().get_model(name).id}").total)
        if left:
            with pytest.raises(LockedError):
                call(name)
        planned = len(history(name)) > done
        with monkeypatch.context() as patch:
            patch.setattr("zenml_mlops.promotion.lock.LEASE", timedelta(0))
            if planned and history(name)[-1].state is State.OPEN:
                with pytest.raises(PromotionRefusedError, match=r"was interrupted: finish it with"):
                    promote(name, 1)
                assert resume(name, actor="user:second")
                assert history(name)[-1].outcome.by == "user:second"
            else:
                assert resume(name) is None
        assert stages(name) == (after if planned else before)
        assert resume(name) is None
        records = history(name)
        assert len(records) == done + planned
        assert {r.state for r in records} == {State.DONE}
        if planned:
            ours = [e for e in entries(log) if e.links.get("transition") == records[-1].plan.id]
            assert [e.outcome.value for e in ours] == ["allowed", "done"]
        assert not Client().list_tags(name=f"promotion-lock-{Client().get_model(name).id}").total
    assert died == writes
    with contextlib.suppress(PromotionRefusedError):
        assert stages(name) == after
    assert verify(log.lines(), {k: v for k, v in remembered_heads().items() if f"killed-{what}" in k}).whole


def test_resume_gives_a_plan_up_that_no_longer_fits():
    make_versions("moved", True, True, True)
    promote("moved", 1)
    # After the lock, the entry and the plan.
    assert die_after(3, lambda: promote("moved", 2), EFFECTS)
    Client().get_model_version("moved", 3).set_stage("production", force=True)
    Client().delete_tag(f"promotion-lock-{Client().get_model('moved').id}")
    with pytest.raises(TransitionError, match=r"production holds version 3\. The plan moved/2 is abandoned"):
        resume("moved")
    assert history("moved")[-1].state is State.ABANDONED
    assert stages("moved") == {1: "archived", 2: None, 3: "production"}
    assert promote("moved", 2).archived_version == 3
