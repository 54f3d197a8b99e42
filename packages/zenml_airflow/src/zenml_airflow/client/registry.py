"""What ZenML has recorded about the models: the versions in the stages, and what speaks for and against them.

Three queries to ZenML, however many versions a model has: the models with the id of their newest version, the
versions that are in a stage, and the newest ones. Imports neither Airflow nor ZenML.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from pydantic import AwareDatetime

from zenml_airflow.client.api import Read
from zenml_airflow.client.candidates import metadata_of, number_of, stage_of
from zenml_airflow.client.conditions import Entity, ModelStage, Query, Record, part
from zenml_airflow.client.run_urls import LinkTarget, mlflow_run_link, run_links, server_link
from zenml_airflow.contracts.frozen import Frozen
from zenml_airflow.contracts.model_records import GateResults, approvals, comparison, gate_results
from zenml_airflow.contracts.origins import origin_of

TRAINING: Final = "training"
"""Key of a version's metadata on what it is made of: ``zenml_run_id``, ``mlflow_run_id``, ``provenance``."""

SHOWN_STAGES: Final = (ModelStage.PRODUCTION, ModelStage.STAGING)
"""Stages that one version at a time holds, as people want to see them."""


class FailedGate(Frozen):
    """A gate that did not pass, and why."""

    gate: str
    evidence: str


class Gates(Frozen):
    """The gates' last report on a version.

    Attributes:
        judged: How many gates it names.
    """

    passed: bool
    judged: int
    failed: tuple[FailedGate, ...]


class Decision(Frozen):
    """The last decision of a person on a version."""

    stage: str
    approved: bool
    by: str
    reason: str


class ModelVersion(Frozen):
    """One version of a model.

    Attributes:
        gates: What the gates said; ``None`` if no report was recorded.
        comparison: Verdict of the comparison with the champion, if there was one.
        commit: Git commit that it was trained from, if that is known.
        imported_from: Server that trained it, if that was another one.
        run: Id of the ZenML run that trained it, if it is on this server.
        links: URL by :class:`~zenml_airflow.client.run_urls.LinkTarget`, where there are any.
    """

    number: int
    stage: str | None
    created: AwareDatetime
    gates: Gates | None
    comparison: str | None
    decision: Decision | None
    commit: str | None
    imported_from: str | None
    run: str | None
    links: dict[LinkTarget, str]


class RegisteredModel(Frozen):
    """A model: the version in each shown stage, and its newest version."""

    name: str
    stages: dict[ModelStage, ModelVersion | None]
    newest: ModelVersion | None


class Registry(Frozen):
    """The models that were read.

    Attributes:
        models: The models: those that were asked for by name first, then the rest by name.
        more: Whether there are more than were read.
        server_url: Address of the ZenML server for people; ``None`` for the local store, which has no dashboard.
    """

    models: tuple[RegisteredModel, ...]
    more: bool
    read_at: AwareDatetime
    server_url: str | None


def read_registry(
    read: Read, wanted: Sequence[str], most: int, *, server_url: str | None = None, tracker_url: str | None = None
) -> Registry:
    """Read the models.

    Args:
        wanted: Names of models that are read in any case.
        most: How many others are read, at most.
        server_url: Address of the ZenML server; ``None`` for the local store, which has no dashboard.

    Raises:
        ZenMLApiError: If ZenML does not answer as it should.
    """
    active = read(Query(Entity.MODEL, {"size": most + 1, "sort_by": "desc:latest_version", "hydrate": True}))
    models, more = list(active[:most]), len(active) > most
    missing = sorted(set(wanted) - {model["name"] for model in models}) if more else []
    if missing:
        models += read(Query(Entity.MODEL, {"name": _one_of(missing), "size": len(missing), "hydrate": True}))
    if not models:
        return Registry(models=(), more=False, read_at=datetime.now(UTC), server_url=server_link(server_url))
    found = [*_in_shown_stages(read, models), *_newest(read, models)]
    versions: dict[str, dict[int, ModelVersion]] = {model["id"]: {} for model in models}
    for record in found:
        version = _version(record, server_url, tracker_url)
        versions[record["body"]["model"]["id"]][version.number] = version
    rows = [_model(model["name"], versions[model["id"]].values()) for model in models]
    return Registry(
        models=tuple(sorted(rows, key=lambda row: (row.name not in wanted, row.name))),
        more=more,
        read_at=datetime.now(UTC),
        server_url=server_link(server_url),
    )


def _in_shown_stages(read: Read, models: Sequence[Record]) -> Sequence[Record]:
    """The versions that hold a shown stage; never all versions, of which there may be thousands."""
    filters = {
        "model": _one_of(model["id"] for model in models),
        "stage": _one_of(stage.value for stage in SHOWN_STAGES),
        # One a stage; a few more only if somebody went around ZenML's client.
        "size": 2 * len(SHOWN_STAGES) * len(models),
        "sort_by": "desc:number",
        "hydrate": True,
    }
    return read(Query(Entity.MODEL_VERSION, filters))


def _newest(read: Read, models: Sequence[Record]) -> Sequence[Record]:
    ids = [latest for model in models if (latest := (model.get("resources") or {}).get("latest_version_id"))]
    if not ids:
        return ()
    return read(Query(Entity.MODEL_VERSION, {"id": _one_of(ids), "size": len(ids), "hydrate": True}))


def _one_of(values: Iterable[str]) -> str:
    return f"oneof:{json.dumps(list(values))}"


def _model(name: str, versions: Collection[ModelVersion]) -> RegisteredModel:
    newest = max(versions, key=lambda version: version.number, default=None)
    stages: dict[ModelStage, ModelVersion | None] = dict.fromkeys(SHOWN_STAGES)
    for version in sorted(versions, key=lambda version: version.number):
        if version.stage in stages:
            stages[ModelStage(version.stage)] = version
    return RegisteredModel(name=name, stages=stages, newest=newest)


def _version(record: Record, server_url: str | None, tracker_url: str | None) -> ModelVersion:
    recorded = metadata_of(record)
    training, origin = recorded.get(TRAINING) or {}, origin_of(recorded)
    run = None if origin else training.get("zenml_run_id")
    compared, decided = comparison(recorded), approvals(recorded)
    created = datetime.fromisoformat(part(record, "created"))
    links = run_links(str(run), server_url, None) if run else {}
    if (tracked := training.get("mlflow_run_id")) and not origin:
        links |= mlflow_run_link(tracker_url, str(tracked))
    return ModelVersion(
        number=number_of(record),
        stage=stage_of(record),
        # ZenML's times are in UTC and do not say so.
        created=created if created.tzinfo else created.replace(tzinfo=UTC),
        gates=_gates(GateResults.of(origin.run.gates) if origin else gate_results(recorded)),
        comparison=compared.verdict if compared else None,
        decision=Decision(**decided[-1].model_dump(include=set(Decision.model_fields))) if decided else None,
        commit=(origin and origin.commit) or (training.get("provenance") or {}).get("commit"),
        imported_from=str(origin.last.server) if origin else None,
        run=run and str(run),
        links={LinkTarget(target): url for target, url in links.items()},
    )


def _gates(found: GateResults | None) -> Gates | None:
    if found is None:
        return None
    failed = tuple(FailedGate(gate=one.gate, evidence=one.evidence) for one in found.verdicts if not one.passed)
    return Gates(
        passed=found.passed and not failed, judged=len({one.gate for one in found.verdicts}), failed=failed
    )
