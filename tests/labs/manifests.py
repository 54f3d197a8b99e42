"""Manifests for tests."""

from zenml_airflow.contracts.enums import Launcher
from zenml_airflow.manifest.manifest import (
    SCHEMA_VERSION,
    CodeRef,
    Manifest,
    PolicyVerdict,
    Resources,
    StackRef,
    StepSpec,
)


def step(name, *upstream, retries=2, **changes):
    made = StepSpec(
        name=name,
        upstream=upstream,
        resources=Resources(),
        image=None,
        operator=Launcher.IN_PROCESS,
        timeout_seconds=60,
        retries=retries,
        retry_delay_seconds=5,
    )
    return made.model_copy(update=changes)


def manifest(pipeline="training", steps=None, **changes):
    made = Manifest(
        schema_version=SCHEMA_VERSION,
        environment="local",
        pipeline=pipeline,
        snapshot_id="8b5f9b1e-0000-4000-8000-000000000000",
        snapshot_name=f"local-{pipeline}-0123456789abcdef",
        config_digest="c" * 64,
        code=CodeRef(commit="a" * 40, dirty=False, digest="b" * 64),
        image_digest=None,
        stack=StackRef(name="local", components={"orchestrator": "zenml_airflow"}),
        policies=(PolicyVerdict(policy="owner", mode="enforce", passed=True, message="has an owner"),),
        steps=tuple(steps or (step("load"), step("train", "load"), step("gate", "train", retries=0, gate=True))),
    )
    return made.model_copy(update=changes)
