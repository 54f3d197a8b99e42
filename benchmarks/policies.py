"""Benchmark 6: how long the deploy-time policies take for fifty pipelines."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.arena import Progress
from benchmarks.machine import measured_now

PIPELINES = 50


def measure(n: int, *, quick: bool, progress: Progress) -> dict[str, Any]:
    """Judge fifty copies of the training pipeline, as a deployment to production does.

    Args:
        n: Rounds that count, after one to warm up.
        quick: Whether the report should call the numbers quick.
        progress: Called with a line for each round.

    Returns:
        Seconds by part and round: reading the policy files, describing the pipelines, judging them; and how many
        verdicts that makes.
    """
    from zenml_airflow import Provenance
    from zenml_airflow.settings.project import load_settings
    from zenml_mlops.environment.deployments import pipelines
    from zenml_mlops.policy.describe import describe_pipeline
    from zenml_mlops.policy.engine import judge
    from zenml_mlops.policy.facts import DeploymentFacts, StackFacts
    from zenml_mlops.policy.schema import _load, load_policies
    from zenml_mlops.policy.waivers import load_waivers

    _, spec = pipelines(load_settings(), ["training"])["training"]
    pipeline = spec.load()
    pipeline.prepare(config=spec.config_class.from_settings(load_settings().model_dump()), provenance=Provenance())
    stack = StackFacts(name="production", used_for="production", components=())
    rounds: dict[str, list[float]] = {"read": [], "describe": [], "judge": []}
    verdicts = 0
    for number in range(n + 1):
        _load.cache_clear()
        marks = [time.perf_counter()]
        policies = load_policies()
        waivers = load_waivers(policies)
        marks.append(time.perf_counter())
        described = [
            describe_pipeline(pipeline, {"timeout_seconds": 600, "retries": 1}).model_copy(
                update={"name": f"p_{i}"}
            )
            for i in range(PIPELINES)
        ]
        marks.append(time.perf_counter())
        subjects = [part for facts in described for part in (facts, DeploymentFacts(pipeline=facts.name), stack)]
        verdicts = len(judge(subjects, "production", policies=policies, waivers=waivers).verdicts)
        marks.append(time.perf_counter())
        if number:
            for part, before, after in zip(rounds, marks[:-1], marks[1:], strict=True):
                rounds[part].append(after - before)
            progress(f"round {number} of {n}: {marks[-1] - marks[0]:.3f} s for {PIPELINES} pipelines")
    return {**measured_now(n, quick=quick), "pipelines": PIPELINES, "verdicts": verdicts, "seconds": rounds}
