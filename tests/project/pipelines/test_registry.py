"""The registry is cheap to import and complete, and every pipeline compiles without a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from labs.pipeline_workspace import settings

from zenml_airflow.settings.project import load_settings
from zenml_mlops.configuration import ConfigError
from zenml_mlops.data.use_case import UnknownPipelineError
from zenml_mlops.environment.deployments import pipelines
from zenml_pipelines.use_case import READMISSION

SPECS = {spec.name: spec for spec in READMISSION.pipelines}


@pytest.mark.parametrize("name", SPECS)
def test_pipeline_compiles_to_a_snapshot_without_a_run(name):
    from zenml.client import Client

    spec = SPECS[name]
    runs = Client().list_pipeline_runs().total
    loaded = spec.load()
    loaded.prepare(config=spec.config_class.from_settings(settings()))
    snapshot = loaded.create_snapshot(name=f"compiles-{name}")
    assert Client().list_pipeline_runs().total == runs
    assert loaded.name == name
    for invocation, step in snapshot.step_configurations.items():
        gate = {"gate"} if invocation in {"data_gate", "quality_gate"} else set()
        shards = {"shards"} if invocation == "score_partition" else set()
        assert set(step.config.extra["airflow"]) == {"retries", "timeout_seconds", *gate, *shards}
        assert step.config.retry is None
        assert step.config.enable_cache is False
    text = json.dumps(snapshot.pipeline_configuration.model_dump(mode="json"))
    assert str(Path.cwd()) not in text


@pytest.mark.parametrize("enabled", [False, True])
def test_a_shadow_is_a_step_aside_where_it_is_enabled_and_no_step_where_it_is_not(enabled):
    from zenml_airflow.deploy.flavor import step_options

    found = settings()
    assert found["pipelines"]["batch_inference"]["shadow"] == {"enabled": False, "version": None}
    found["pipelines"]["batch_inference"]["shadow"]["enabled"] = enabled
    spec = SPECS["batch_inference"]
    loaded = spec.load()
    loaded.prepare(config=spec.config_class.from_settings(found))
    steps = loaded.create_snapshot(name=f"shadow-{enabled}").step_configurations
    observers = {name for name, step in steps.items() if step_options(step.config.extra).observer}
    assert observers == ({"score_shadow"} if enabled else set())
    assert set(steps) - observers == {
        "load_partition", "validate_partition", "score_partition", "publish_predictions", "summarize",
    }  # fmt: skip
    if enabled:
        assert "publish_predictions" in steps["score_shadow"].spec.upstream_steps


def test_unknown_pipeline_names_the_known_ones():
    with pytest.raises(UnknownPipelineError, match=r"batch_inference.*training"):
        pipelines(load_settings("local"), ["trainig"])


def test_every_wrong_setting_is_named():
    broken = settings()
    broken["pipelines"]["training"] |= {"test_fraction": 2, "sedd": 1}
    del broken["pipelines"]["training"]["bootstrap"]
    with pytest.raises(ConfigError) as error:
        SPECS["training"].config_class.from_settings(broken)
    for name in ("test_fraction", "sedd", "bootstrap"):
        assert name in str(error.value)
