"""Conditions on versions that want to enter a stage: one exists; one that waits for a decision is still valid.

What they read is what ``zenml_mlops`` records with a version and with the run that made it. They only
say whom it is worth asking about: the policies judge again before anything is promoted. Imports neither Airflow
nor ZenML.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping
from typing import Any

from pydantic import Field

from zenml_airflow.client.conditions import (
    PAGE_SIZE,
    Condition,
    Entity,
    Inquiry,
    ModelStage,
    Outcome,
    Query,
    Record,
    RunStatus,
    Verdict,
    champion_of,
    part,
    version_query,
)
from zenml_airflow.contracts.model_records import GateResults, comparison, gate_results, latest_approval
from zenml_airflow.contracts.origins import origin_of

MODEL_ARTIFACT_TYPE = "ModelArtifact"
"""ZenML's ``ArtifactType.MODEL``."""

_Asked = Generator[Query, list[Record], "tuple[Outcome, str]"]


class CandidateCondition(Condition):
    """A version could enter a stage: the run that made it completed, and every gate passed.

    The promotion DAG and ``mlops promote`` both search by this rule. A rejection concerns its own stage alone.

    Attributes:
        model: Name or id of the model; it need not exist yet.
        version: Number of the version. By default the newest that fits, is newer than the one in the stage, is
            neither archived nor in production, and was not rejected.
        required: Gates that must be among the recorded ones.
    """

    model: str = Field(min_length=1)
    stage: ModelStage
    version: int | None = Field(default=None, ge=1)
    required: tuple[str, ...] = ()

    @staticmethod
    def problem(given: Collection[str]) -> str | None:
        """What is wrong with the choice of attributes, whatever their values."""
        missing = sorted({"model", "stage"} - set(given))
        return f"{missing} must say which stage of which model is meant" if missing else None

    def inquire(self) -> Inquiry:
        """Find the version."""
        champion = yield from champion_of(self.model, self.stage)
        if self.version is not None:
            return (yield from self._named(self.version, champion))
        floor = champion or 0
        page, passed_over = 1, ""
        while True:
            versions = yield version_query(self.model, page=page, number=f"gt:{floor}")
            for version in versions:
                outcome, reason = yield from self._examine(version)
                if outcome is Outcome.MET:
                    return self._met(version, champion)
                passed_over = passed_over or f" The newest, version {number_of(version)}: {reason}."
            if len(versions) < PAGE_SIZE:
                newer = f" newer than {champion}" if champion else ""
                text = f"Model {self.model!r}: no version{newer} is a candidate for {self.stage}.{passed_over}"
                return Verdict(Outcome.WAITING, text, {"champion": champion})
            page += 1

    def _named(self, number: int, champion: int | None) -> Inquiry:
        found = yield version_query(self.model, page=1, number=number)
        if not found:
            return Verdict(Outcome.FAILED, f"Model {self.model!r} has no version {number}.")
        if champion == number:
            return Verdict(Outcome.FAILED, f"Version {number} of {self.model!r} is in {self.stage} already.")
        outcome, reason = yield from _made_well(found[0], self.required)
        if outcome is Outcome.MET:
            return self._met(found[0], champion)
        return Verdict(outcome, f"Version {number} of {self.model!r}: {reason}.")

    def _examine(self, version: Record) -> _Asked:
        stage = stage_of(version)
        if stage in (ModelStage.ARCHIVED, ModelStage.PRODUCTION):
            return Outcome.WAITING, f"it is in {stage}" if stage == ModelStage.PRODUCTION else "it is archived"
        if by := rejected_by(version, self.stage):
            return Outcome.WAITING, f"{by} rejected it for {self.stage}"
        return (yield from _made_well(version, self.required))

    def _met(self, version: Record, champion: int | None) -> Verdict:
        number = number_of(version)
        found = {
            "model": version["body"]["model"]["name"],
            "version": number,
            "model_version_id": version["id"],
            "stage": stage_of(version),
            "target": self.stage.value,
            "champion": champion,
            "named": self.version is not None,
        }
        text = f"Version {number} of {found['model']!r} is a candidate for {self.stage}: its gates passed."
        return Verdict(Outcome.MET, text, found)


class ValidityCondition(Condition):
    """A candidate that was compared is still valid; it fails once it is not, and is never met.

    Attributes:
        stage: The stage that it was in; ``None`` for none.
        champion: Number of the version that it was compared with; ``None`` if the stage was empty.
        named: Whether a person asked for this very version; a newer one does not supersede it then.
        accepted: Verdicts of a comparison that make a newer version take its place.
    """

    model: str = Field(min_length=1)
    version: int = Field(ge=1)
    target: ModelStage
    stage: str | None = None
    champion: int | None = None
    named: bool = False
    accepted: tuple[str, ...] = ()

    @staticmethod
    def problem(given: Collection[str]) -> str | None:
        """What is wrong with the choice of attributes, whatever their values."""
        missing = sorted({"model", "version", "target"} - set(given))
        return f"{missing} must say which candidate is meant" if missing else None

    def inquire(self) -> Inquiry:
        """Look for what would end its candidacy."""
        # First: if the candidate itself enters the stage between two queries, the second one shows it.
        champion = yield from champion_of(self.model, self.target)
        found = yield version_query(self.model, page=1, number=self.version)
        if not found:
            return self._ended("was deleted")
        now = stage_of(found[0])
        if now != self.stage:
            return self._ended(f"was moved meanwhile, from {self.stage or 'no stage'} to {now or 'no stage'}")
        if by := rejected_by(found[0], self.target):
            return self._ended(f"was rejected meanwhile by {by}")
        if champion != self.champion:
            was = self.champion or "no version"
            return self._ended(f"was compared with {was}, and {self.target} now holds {champion or 'no version'}")
        if not self.named:
            newer = yield version_query(self.model, page=1, number=f"gt:{self.version}")
            for version in newer:
                if self._takes_its_place(version):
                    return self._ended(f"is superseded by version {number_of(version)}, which is newer")
        return Verdict(Outcome.WAITING, f"Version {self.version} of {self.model!r} is still valid.")

    def _takes_its_place(self, version: Record) -> bool:
        """Whether a newer version got as far as this one: compared, and good enough to be decided about."""
        compared = comparison(metadata_of(version))
        archived = stage_of(version) == ModelStage.ARCHIVED
        good = compared is not None and compared.verdict in self.accepted
        return good and not archived and not rejected_by(version, self.target)

    def _ended(self, why: str) -> Verdict:
        return Verdict(Outcome.FAILED, f"Version {self.version} of {self.model!r} {why}.")


def number_of(version: Record) -> int:
    """Number of a version."""
    return int(part(version, "number"))


def stage_of(version: Record) -> str | None:
    """Stage of a version; ``None`` if it is in none."""
    stage = part(version, "stage")
    return None if stage in (None, "none") else str(stage)


def metadata_of(record: Record) -> Mapping[str, Any]:
    """What is recorded with a version or a run."""
    return part(record, "run_metadata") or {}


def rejected_by(version: Record, stage: str) -> str | None:
    """Who has rejected a version for a stage, if that is the decision that holds: the last one."""
    last = latest_approval(metadata_of(version), str(stage))
    return last.by if last is not None and not last.approved else None


def _made_well(version: Record, required: Collection[str]) -> _Asked:
    """Whether the run that made the model completed with every gate passed; it may still be running."""
    metadata = metadata_of(version)
    if (origin := origin_of(metadata)) is not None:
        # Its run is on the server that trained it, and its evidence came with it.
        run = origin.run
        if run.status != RunStatus.COMPLETED:
            where = "on the server that it comes from"
            return Outcome.FAILED, f"its run {run.name!r} {where} ended with status {run.status}"
        outcome, reason = _gates_passed(GateResults.of(run.gates), required)
        here = gate_results(metadata) if outcome is Outcome.MET else None
        return _gates_passed(here, ()) if here else (outcome, reason)
    artifacts = yield Query(
        Entity.ARTIFACT_VERSION,
        {"model_version_id": version["id"], "type": MODEL_ARTIFACT_TYPE, "size": PAGE_SIZE, "hydrate": True},
    )
    makers = {(item.get("resources") or {}).get("producer_pipeline_run_id") for item in artifacts} - {None}
    if not makers:
        return Outcome.WAITING, "no run has made its model yet"
    if len(makers) > 1:
        return Outcome.FAILED, "its models are of several runs"
    runs = yield Query(Entity.PIPELINE_RUN, {"id": makers.pop(), "size": 1, "hydrate": True})
    if not runs:
        return Outcome.FAILED, "the run that made it was deleted"
    status = RunStatus(part(runs[0], "status"))
    if not status.is_finished:
        return Outcome.WAITING, f"its run {runs[0]['name']!r} is {status}"
    if status is not RunStatus.COMPLETED:
        return Outcome.FAILED, f"its run {runs[0]['name']!r} ended with status {status}"
    return _gates_passed(gate_results(metadata_of(runs[0])), required)


def _gates_passed(results: GateResults | None, required: Collection[str]) -> tuple[Outcome, str]:
    if results is None:
        return Outcome.FAILED, "its run recorded no gate results"
    wrong = {"failed": results.failed, "were not evaluated": sorted(set(required) - set(results.by_gate))}
    what = [f"the gates {gates} {how}" for how, gates in wrong.items() if gates]
    return (Outcome.FAILED, " and ".join(what)) if what else (Outcome.MET, "its gates passed")
