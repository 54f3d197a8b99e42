"""Gather what is recorded of a version, to travel with it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from zenml.client import Client
from zenml.models import ModelVersionResponse, PipelineRunResponse

from zenml_airflow.context import CLI_DAG_ID
from zenml_airflow.contracts.model_records import approvals
from zenml_airflow.contracts.origins import ChainLink, Server, SourceRun, origin_of
from zenml_mlops.bundles.errors import BundleRefusedError
from zenml_mlops.bundles.manifest import Evidence
from zenml_mlops.cards.card import DECISIONS_METADATA, Decision
from zenml_mlops.gates.data_checks import PROFILE_METADATA
from zenml_mlops.policy.facts import BundleFacts
from zenml_mlops.promotion.records import Record, history
from zenml_mlops.promotion.versions import (
    TRAINING_METADATA,
    describe_version,
    environment_of_run,
    producer,
    recorded_gates,
)


def this_server(environment: str) -> Server:
    """The server that this process is a client of."""
    store = Client().zen_store
    info = store.get_store_info()
    return Server(id=info.id, url=without_secrets(info.dashboard_url or info.server_url), environment=environment)


def gather_evidence(version: ModelVersionResponse) -> Evidence:
    """What is recorded of a version.

    Raises:
        BundleRefusedError: If nothing is known of its training.
    """
    origin, run = origin_of(version.run_metadata), producer(version)
    facts = describe_version(version, run, "")
    if origin is None and run is None:
        raise BundleRefusedError(
            f"ZenML knows no run that trained version {version.number} of {version.model.name!r}, and no finished "
            "import of it, so there is no evidence for it: train a new version, or finish its import."
        )
    recorded: Any = version.run_metadata.get(DECISIONS_METADATA, [])
    return Evidence(
        run=origin.run if origin is not None else _described(run),
        commit=facts.commit,
        data_digest=facts.data_digest,
        metadata=_portable(version.run_metadata),
        chain=tuple(_link(r) for r in history(version.model.name) if r.plan.version == int(version.number)),
        approvals=approvals(version.run_metadata),
        decisions=tuple(map(Decision.model_validate, recorded)),
        hops=() if origin is None else origin.hops,
    )


def bundle_facts(model: str, version: int, server: Server, evidence: Evidence, signer: str | None) -> BundleFacts:
    """What the policies on bundles judge."""
    return BundleFacts(
        name=model,
        version=version,
        environment=server.environment,
        signed_by=signer,
        run_status=evidence.run.status,
        gates=evidence.run.gates,
    )


def _described(run: PipelineRunResponse | None) -> SourceRun:
    assert run is not None  # noqa: S101 - the caller has looked
    recorded = run.run_metadata
    by_airflow = recorded.get("dag_id") not in (None, CLI_DAG_ID)
    day = recorded.get("logical_date")
    return SourceRun(
        id=run.id,
        name=run.name,
        pipeline=run.pipeline.name if run.pipeline else None,
        status=run.status.value,
        environment=environment_of_run(run),
        gates=recorded_gates(recorded),
        dag_id=str(recorded["dag_id"]) if by_airflow else None,
        dag_run_id=str(recorded["dag_run_id"]) if by_airflow else None,
        logical_date=None if day is None else str(day),
    )


def _link(record: Record) -> ChainLink:
    plan = record.plan
    return ChainLink(
        number=plan.number,
        kind=plan.kind.value,
        stage=plan.stage,
        came_from=plan.came_from,
        state=record.state.value,
        by=plan.actor,
        at=plan.at.astimezone(UTC),
        environment=plan.environment,
        reason=plan.reason,
        approved_by=plan.approval.by if plan.approval else None,
    )


def _portable(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What a version is made of, and its metrics; what was decided about it travels apart."""
    named = {key: metadata[key] for key in (TRAINING_METADATA, PROFILE_METADATA) if key in metadata}
    numbers = {
        key: value
        for key, value in metadata.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }
    return {**numbers, **named}


def without_secrets(url: str | None) -> str | None:
    """An address without what must not be written down: a user's name and password, and a query."""
    if not url:
        return None
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
