"""Whatever is done to versions in whatever order, the history tells it and the audit chain holds.

Two machines play it. One writes records as the service does and asks what the history makes of them, in hundreds
of long sequences; the other calls the service on a real ZenML store, with the audit log and bundles, in a few.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.strategies import booleans, integers, sampled_from
from labs.two_stores import export_elsewhere, make_key, rules_for
from labs.version_bench import forget_models, make_versions, stages
from zenml.client import Client

from zenml_mlops.audit import AUDIT_LOG_ENV, HEAD_METADATA, Head, open_log, verify
from zenml_mlops.audit.entries import parse_entry
from zenml_mlops.bundles import BundleRefusedError, import_bundle
from zenml_mlops.promotion import (
    PromotionRefusedError,
    archive,
    decide,
    history,
    promote,
    rollback,
    withdraw,
)
from zenml_mlops.promotion.records import (
    Kind,
    State,
    Transition,
    TransitionOutcome,
    history_of,
    open_transition,
    outcome_metadata,
    past_champions,
    plan_metadata,
    succession,
    withdrawn_versions,
)

SEQUENCES = 200
STEPS = 6
WHOLE = 10
NAME = "sequence"
"""One name for all, as the bundles hold it; each sequence begins without the model."""
GOOD = {1: True, 2: True, 3: False, 4: True}
WHY = "Because the sequence says so."
BUNDLES = 2
NOW = datetime(2026, 1, 5, tzinfo=UTC)
numbers = integers(min_value=1, max_value=len(GOOD) + BUNDLES)
bundle_numbers = integers(min_value=0, max_value=BUNDLES - 1)
stage_names = sampled_from(["staging", "production"])
states = sampled_from(State)


@cache
def bundles():
    """Two versions from another store, the second one rejected there; and the rules that let them in."""
    folder = Path(tempfile.mkdtemp(prefix="bundles-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    key = make_key(folder, "release")
    job = {"model": NAME, "good": [True, True], "folder": str(folder), "key": str(key)}
    said = export_elsewhere(
        folder / "store", [{**job, "version": 1}, {**job, "version": 2, "reject": "user:anna"}]
    )
    return [done["location"] for done in said], rules_for(key, NAME)


class Expected:
    """What is expected is kept beside: plain dicts, without a look into the service."""

    def expect_nothing(self, versions):
        self.stage = dict.fromkeys(versions)
        self.withdrawn = set()
        self.way_back = {"staging": [], "production": []}
        self.past_champions = {"staging": set(), "production": set()}
        self.done = []

    def enter(self, number, stage):
        for other, where in self.stage.items():
            if where == stage:
                self.stage[other] = "archived"
        self.stage[number] = stage
        self.past_champions[stage].add(number)

    def promoted(self, number, stage):
        self.enter(number, stage)
        way = self.way_back[stage]
        self.way_back[stage] = [n for n in way if n != number] + [number]
        self.done.append(("promote", number, stage))

    def rolled_back(self, number, stage):
        self.enter(number, stage)
        way = self.way_back[stage]
        self.way_back[stage] = (way[: way.index(number)] if number in way else way) + [number]
        self.done.append(("rollback", number, stage))

    def left(self, number, for_ever):
        self.stage[number] = "archived"
        for stage, way in self.way_back.items():
            self.way_back[stage] = [n for n in way if n != number]
        if for_ever:
            self.withdrawn.add(number)
        self.done.append(("withdraw" if for_ever else "archive", number, "archived"))


class Stored:
    """A version as far as the history asks ZenML for it: its metadata, gone through JSON."""

    def __init__(self):
        self.run_metadata = {}

    def log(self, metadata):
        self.run_metadata |= json.loads(json.dumps(metadata))


class Records(Expected, RuleBasedStateMachine):
    """Transitions are written and ended, well or not; only what was done counts."""

    def __init__(self):
        super().__init__()
        self.expect_nothing(GOOD)
        self.versions = {number: Stored() for number in GOOD}
        self.number = 0

    def transition(self, kind, number, stage, state):
        self.number += 1
        plan = Transition(
            number=self.number,
            kind=kind,
            model=NAME,
            version=number,
            stage=stage,
            came_from=self.stage[number],
            displaced=tuple(n for n, where in self.stage.items() if where == stage and n != number),
            actor="user:anna",
            reason=WHY,
            at=NOW,
            environment="local",
        )
        self.versions[number].log(plan_metadata(plan))
        if state is not State.OPEN:
            outcome = TransitionOutcome(state=state, at=NOW, by="user:bob", detail=WHY)
            self.versions[number].log(outcome_metadata(plan, outcome))
        self.last = (plan, state)
        return state is State.DONE

    @rule(number=sampled_from(sorted(GOOD)), stage=stage_names, state=states)
    def promote(self, number, stage, state):
        if self.transition(Kind.PROMOTE, number, stage, state):
            self.promoted(number, stage)

    @rule(number=sampled_from(sorted(GOOD)), stage=stage_names, state=states)
    def roll_back(self, number, stage, state):
        if self.transition(Kind.ROLLBACK, number, stage, state):
            self.rolled_back(number, stage)

    @rule(number=sampled_from(sorted(GOOD)), for_ever=booleans(), state=states)
    def leave(self, number, for_ever, state):
        if self.transition(Kind.WITHDRAW if for_ever else Kind.ARCHIVE, number, "archived", state):
            self.left(number, for_ever)

    @invariant()
    def the_history_tells_it(self):
        found = history_of(self.versions.values())
        assert [record.plan.number for record in found] == list(range(1, self.number + 1))
        told = [(r.plan.kind.value, r.plan.version, r.plan.stage) for r in found if r.done]
        assert told == self.done
        for stage in self.way_back:
            assert succession(found, stage) == self.way_back[stage]
            assert past_champions(found, stage) == self.past_champions[stage]
        assert set(withdrawn_versions(found)) == self.withdrawn
        open_ones = [record.plan for record in found if record.state is State.OPEN]
        assert open_transition(found) == (open_ones[0] if open_ones else None)
        if found:
            assert (found[-1].plan, found[-1].state) == self.last


class Sequences(Expected, RuleBasedStateMachine):
    @initialize()
    def begin(self):
        self.name = NAME
        self.good, self.imported = dict(GOOD), []
        make_versions(self.name, *GOOD.values())
        self.folder = tempfile.TemporaryDirectory()
        self.location = str(Path(self.folder.name) / "log.jsonl")
        os.environ[AUDIT_LOG_ENV] = self.location
        bundles()
        self.expect_nothing(GOOD)
        self.rejected = set()

    def attempt(self, allowed, call):
        """Call the service, which must refuse exactly what is not allowed."""
        try:
            call()
        except (PromotionRefusedError, BundleRefusedError):
            assert not allowed
        else:
            assert allowed
        return allowed

    @rule(number=numbers, stage=stage_names)
    def promote(self, number, stage):
        there = self.stage.get(number) == stage
        allowed = (
            self.good.get(number, False)
            and number not in self.withdrawn
            and (number, stage) not in self.rejected
            and (stage == "production" or self.stage[number] != "production")
        )
        if self.attempt(allowed, lambda: promote(self.name, number, stage)) and not there:
            self.promoted(number, stage)

    @rule(stage=stage_names)
    def roll_back(self, stage):
        targets = [n for n in self.way_back[stage] if self.stage[n] != stage]
        target = targets[-1] if targets else None
        if self.attempt(target is not None, lambda: rollback(self.name, stage=stage)):
            self.rolled_back(target, stage)

    @rule(number=numbers)
    def roll_back_to(self, number):
        stage = "production"
        allowed = (
            number in self.past_champions[stage] and number not in self.withdrawn and self.stage[number] != stage
        )
        if self.attempt(allowed, lambda: rollback(self.name, number)):
            self.rolled_back(number, stage)

    @rule(number=numbers, approved=booleans(), stage=stage_names)
    def decide(self, number, approved, stage):
        allowed = number in self.stage and self.stage[number] != stage
        if self.attempt(allowed, lambda: decide(self.name, number, stage, approved=approved, reason=WHY)):
            (self.rejected.discard if approved else self.rejected.add)((number, stage))

    @rule(number=numbers, for_ever=booleans())
    def leave(self, number, for_ever):
        here = number in self.stage and number not in self.withdrawn
        allowed = here and (for_ever or self.stage[number] != "archived")
        call = withdraw if for_ever else archive
        if self.attempt(allowed, lambda: call(self.name, number, reason=WHY)):
            self.left(number, for_ever)

    @rule(which=bundle_numbers)
    def bring_in(self, which):
        locations, rules = bundles()
        allowed = which not in self.imported
        if self.attempt(allowed, lambda: import_bundle(locations[which], rules, reason=WHY)):
            number = len(self.stage) + 1
            self.stage[number], self.good[number] = None, True
            self.imported.append(which)
            if which == 1:
                self.rejected.add((number, "production"))

    @invariant()
    def stages_are_as_expected(self):
        found = stages(self.name)
        assert found == self.stage
        assert list(found.values()).count("production") <= 1

    def teardown(self):
        if not hasattr(self, "name"):
            return
        records = history(self.name)
        assert [record.plan.number for record in records] == list(range(1, len(self.done) + 1))
        assert [(r.plan.kind.value, r.plan.version, r.plan.stage) for r in records] == self.done
        assert all(record.done for record in records)
        log = open_log(self.location)
        heads = {}
        for version in Client().list_model_versions(model=self.name, hydrate=True).items:
            if HEAD_METADATA in version.run_metadata:
                heads[str(version.number)] = Head.model_validate(version.run_metadata[HEAD_METADATA])
        assert verify(log.lines(), heads).whole
        outcomes = [
            entry.outcome.value
            for entry in map(parse_entry, (line[:-1] for line in log.lines()))
            if entry.action not in ("approve", "import")
        ]
        # A promotion of a version that is in the stage already changes nothing, and is no decision.
        assert outcomes.count("done") == outcomes.count("allowed") == len(self.done)
        lines = [parse_entry(line[:-1]) for line in log.lines()]
        let_in = [e.outcome.value for e in lines if e.action == "import"]
        assert let_in.count("done") == len(self.imported)
        os.environ.pop(AUDIT_LOG_ENV, None)
        forget_models()
        self.folder.cleanup()


def play(machine, count, steps):
    """A test case that plays some sequences, the same ones each time."""
    case = machine.TestCase
    case.settings = settings(
        max_examples=count,
        stateful_step_count=steps,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    return case


TestRecords = play(Records, SEQUENCES, 20)
TestWholeSequences = pytest.mark.trained(pytest.mark.timeout(1800)(play(Sequences, WHOLE, STEPS)))
