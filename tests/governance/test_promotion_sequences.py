"""Whatever is done to versions in whatever order, the history tells it and the audit chain holds."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.strategies import booleans, integers, sampled_from
from two_stores import export_elsewhere, make_key, rules_for
from version_bench import forget_models, make_versions, stages
from zenml.client import Client

from governance.audit import AUDIT_LOG_ENV, HEAD_METADATA, Head, open_log, verify
from governance.audit.entries import parse_entry
from governance.bundles import BundleRefusedError, import_bundle
from governance.promotion import (
    PromotionRefusedError,
    archive,
    decide,
    history,
    promote,
    rollback,
    withdraw,
)

SEQUENCES = 200
STEPS = 6
FEW = 15
NAME = "sequence"
"""One name for all, as the bundles hold it; each sequence begins without the model."""
GOOD = {1: True, 2: True, 3: False, 4: True}
WHY = "Because the sequence says so."
BUNDLES = 2
numbers = integers(min_value=1, max_value=len(GOOD) + BUNDLES)
bundle_numbers = integers(min_value=0, max_value=BUNDLES - 1)
stage_names = sampled_from(["staging", "production"])


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


class Sequences(RuleBasedStateMachine):
    """What is expected is kept beside: plain dicts, without a look into the service."""

    @initialize()
    def begin(self):
        self.name = NAME
        self.good, self.imported = dict(GOOD), []
        make_versions(self.name, *GOOD.values())
        self.folder = tempfile.TemporaryDirectory()
        self.location = str(Path(self.folder.name) / "log.jsonl")
        os.environ[AUDIT_LOG_ENV] = self.location
        bundles()
        self.stage = dict.fromkeys(GOOD)
        self.rejected, self.withdrawn = set(), set()
        self.way_back = {"staging": [], "production": []}
        self.served = {"staging": set(), "production": set()}
        self.done = []

    def attempt(self, allowed, call):
        """Call the service, which must refuse exactly what is not allowed."""
        try:
            call()
        except (PromotionRefusedError, BundleRefusedError):
            assert not allowed
        else:
            assert allowed
        return allowed

    def enter(self, number, stage):
        for other, where in self.stage.items():
            if where == stage:
                self.stage[other] = "archived"
        self.stage[number] = stage
        self.served[stage].add(number)

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
            self.enter(number, stage)
            way = self.way_back[stage]
            self.way_back[stage] = [n for n in way if n != number] + [number]
            self.done.append(("promote", number, stage))

    @rule(stage=stage_names)
    def roll_back(self, stage):
        targets = [n for n in self.way_back[stage] if self.stage[n] != stage]
        target = targets[-1] if targets else None
        if self.attempt(target is not None, lambda: rollback(self.name, stage=stage)):
            self.enter(target, stage)
            way = self.way_back[stage]
            self.way_back[stage] = way[: way.index(target) + 1]
            self.done.append(("rollback", target, stage))

    @rule(number=numbers)
    def roll_back_to(self, number):
        stage = "production"
        allowed = number in self.served[stage] and number not in self.withdrawn and self.stage[number] != stage
        if self.attempt(allowed, lambda: rollback(self.name, number)):
            self.enter(number, stage)
            way = self.way_back[stage]
            self.way_back[stage] = (way[: way.index(number)] if number in way else way) + [number]
            self.done.append(("rollback", number, stage))

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
            self.stage[number] = "archived"
            for stage, way in self.way_back.items():
                self.way_back[stage] = [n for n in way if n != number]
            if for_ever:
                self.withdrawn.add(number)
            self.done.append(("withdraw" if for_ever else "archive", number, "archived"))

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


def sequences(count):
    """A test case that plays some sequences, the same ones each time."""
    case = type("TestCase", (Sequences.TestCase,), {})
    case.settings = settings(
        max_examples=count,
        stateful_step_count=STEPS,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    return case


TestFewSequences = pytest.mark.timeout(1800)(sequences(FEW))
TestAllSequences = pytest.mark.promotion(pytest.mark.timeout(3600)(sequences(SEQUENCES)))
