"""Versions made without a training: each is linked to the model artifact of one of two real, gated runs."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import cache
from typing import Annotated
from uuid import UUID

from sklearn.base import BaseEstimator
from sklearn.preprocessing import StandardScaler
from zenml import ArtifactConfig, pipeline, step
from zenml.client import Client
from zenml.enums import ArtifactType
from zenml.models import ModelVersionArtifactRequest

from zenml_mlops.gates.limits import Estimate, GateLimits, Judge, Limit, MetricReport
from zenml_mlops.gates.steps import quality_gate
from zenml_mlops.materializers import SkopsMaterializer

FLOOR = GateLimits(limits={"floor": Limit(metric="auc", judge=Judge.VALUE, minimum=0.6, why="Skill.")})


_MADE: list[str] = []


@step(enable_cache=False, output_materializers={"model": SkopsMaterializer})
def make(
    auc: float,
) -> tuple[
    Annotated[BaseEstimator, ArtifactConfig(name="model", artifact_type=ArtifactType.MODEL)],
    Annotated[MetricReport, "metrics"],
]:
    metrics = MetricReport(
        rows=10,
        positives=1,
        metrics={"auc": Estimate(value=auc, lower=auc, upper=auc)},
        confidence=0.9,
        resamples=1,
        resampled_unit="row",
    )
    return StandardScaler(), metrics


@pipeline(enable_cache=False)
def gated(auc: float) -> None:
    _, metrics = make(auc)
    quality_gate(metrics, gate=FLOOR)


@dataclass(frozen=True)
class Artifacts:
    """Model artifacts: of a run whose gate passed, and of one whose gate failed."""

    good: UUID
    bad: UUID


@cache
def artifacts() -> Artifacts:
    found = []
    for auc in (0.8, 0.5):
        with contextlib.suppress(RuntimeError):
            gated(auc=auc)
        run = Client().list_pipeline_runs(pipeline="gated", sort_by="desc:created", size=1).items[0]
        found.append(run.steps["make"].outputs["model"][0].id)
    return Artifacts(*found)


def make_versions(name: str, *good: bool) -> None:
    """Create a model with a version for each argument: one that passed its gates, or one that did not."""
    client, made = Client(), artifacts()
    client.create_model(name=name)
    _MADE.append(name)
    for passed in good:
        version = client.create_model_version(model_name_or_id=name)
        client.zen_store.create_model_version_artifact_link(
            ModelVersionArtifactRequest(
                model_version=version.id, artifact_version=made.good if passed else made.bad
            )
        )


def forget_models() -> None:
    """Delete the models that :func:`make_versions` made."""
    while _MADE:
        Client().delete_model(_MADE.pop())


def stages(name: str) -> dict[int, str | None]:
    found = Client().list_model_versions(model=name, sort_by="asc:number", size=100)
    return {int(v.number): None if v.stage in (None, "none") else v.stage for v in found}
