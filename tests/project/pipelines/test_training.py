"""The training pipeline, run for real; the questions go to ZenML's own records."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from labs.pipeline_workspace import Workspace, settings
from zenml.artifacts.utils import load_artifact_visualization
from zenml.client import Client

from zenml_airflow.contracts.model_records import GATES_METADATA
from zenml_mlops.cards.records import NoCardError, recorded_card
from zenml_mlops.configuration import ConfigError
from zenml_mlops.gates.limits import GateFailedError
from zenml_mlops.promotion import PromotionRefusedError, latest_candidate, promote
from zenml_mlops.training.splitting import split_in_time
from zenml_pipelines.config import TrainingConfig
from zenml_pipelines.use_case.contract import CONTRACT


@pytest.fixture(scope="module")
def real_run(real_root: Path):
    config = TrainingConfig.from_settings(settings()).model_copy(update={"model_name": "real_model"})
    run = Workspace(real_root, config, None).train()
    return Client().get_pipeline_run(run.id)


def test_real_data_passes_the_gates_with_an_honest_auc(real_run):
    assert real_run.status == "completed"
    metrics = real_run.run_metadata["training"]["metrics"]["metrics"]
    assert 0.63 <= metrics["roc_auc"]["value"] <= 0.70
    for name, metric in metrics.items():
        # The calibration error is biased upwards in a resample, so its interval may lie above the value.
        if name != "expected_calibration_error":
            assert metric["lower"] < metric["value"] < metric["upper"], name
    assert real_run.run_metadata[GATES_METADATA]["passed"] is True


def test_registered_version_carries_its_evidence_and_no_stage(real_run):
    version = Client().get_model_version("real_model", 1)
    recorded = version.run_metadata["training"]
    assert version.stage is None
    assert recorded["data"]["sha256"] == "0689e7ec031237dc63031b938805c48377748761a3b26acab621567afa24df97"
    assert recorded["provenance"]["commit"] == "0" * 40
    assert recorded["zenml_run_id"] == str(real_run.id)
    assert version.run_metadata[GATES_METADATA]["passed"] is True
    schema = version.get_artifact("contract").load()
    assert "readmitted" not in {rule.name for rule in schema.columns}
    assert "patient_nbr" not in schema.features
    assert "encounter_id" not in schema.features


def test_the_versions_card_is_what_zenml_shows_and_says_what_was_found(real_run):
    version = Client().get_model_version("real_model", 1)
    page = version.get_artifact("model_card")
    assert [shown.type.value for shown in page.visualizations] == ["html"]
    shown = str(load_artifact_visualization(page).value)
    assert page.load() == shown
    metrics = version.run_metadata["training"]["metrics"]["metrics"]
    for part in (
        "Risk of readmission within 30 days",
        "0689e7ec031237dc63031b938805c48377748761a3b26acab621567afa24df97",
        f"{metrics['roc_auc']['lower']:.4g} to {metrics['roc_auc']['upper']:.4g}",
        "all gates passed",
        "no_hindsight",
        "reported, not evaluated",
        "<svg",
    ):
        assert part in shown, part
    assert "# Risk of readmission" in version.get_artifact("model_card_text").load()


def test_a_later_card_has_the_decisions(real_run):
    before = recorded_card("real_model")
    assert (before.version, before.decisions) == (1, ())
    # The pipeline that ran here is not the deployed one, so the stack's environment, local, decides.
    promote("real_model", 1, "staging")
    (decision,) = recorded_card("real_model", 1).decisions
    assert decision.action == "promote to staging: done"
    assert "real_model version 1 is in staging now" in decision.reason
    Client().get_model_version("real_model", 1).set_stage("none", force=True)
    with pytest.raises(NoCardError, match="no version 9"):
        recorded_card("real_model", 9)


def test_no_snapshot_or_parameter_holds_a_machine_path(real_run, real_root: Path):
    assert str(real_root) not in real_run.config.model_dump_json()
    assert all(str(real_root) not in step.config.model_dump_json() for step in real_run.steps.values())


def test_training_does_not_see_the_held_out_rows(real_run):
    held = Client().get_artifact_version(real_run.steps["load_data"].outputs["rows"][0].id).load()
    reference = real_run.run_metadata["training"]["data"]
    assert len(held) == reference["rows"] == 101_766 - 10_177
    assert held["encounter_id"].max() == reference["last_row_id"]


def test_leaky_feature_is_refused_and_the_refusal_is_recorded(
    small_workspace: Workspace, generated: pd.DataFrame, tmp_path: Path
):
    leaky = generated.copy()
    positive = CONTRACT.events(leaky).astype(bool)
    leaky["num_medications"] = leaky["num_medications"].where(~positive, 200)
    (tmp_path / "raw").mkdir()
    leaky.to_csv(tmp_path / "raw" / "diabetic_data.csv", index=False, na_rep="?")
    gates = TrainingConfig.from_settings(settings()).gates
    config = small_workspace.training.model_copy(update={"gates": gates, "model_name": "leaky_model"})
    with pytest.raises(GateFailedError, match="too_good_to_be_true") as error:
        small_workspace.moved(tmp_path).train(config)
    assert f"{gates['too_good_to_be_true'].maximum:g}" in str(error.value)
    version = Client().get_model_version("leaky_model", 1)
    recorded = version.run_metadata[GATES_METADATA]
    assert recorded["passed"] is False
    assert latest_candidate("leaky_model") is None
    with pytest.raises(PromotionRefusedError, match=r"failed, not completed.*too_good_to_be_true"):
        promote("leaky_model", 1)
    assert Client().get_model_version("leaky_model", 1).stage is None


def test_estimator_is_overridden_by_the_run(small_workspace: Workspace):
    config = small_workspace.training.model_copy(update={"model_name": "regression_model"})
    run = small_workspace.train(config, estimator="logistic_regression")
    recorded = Client().get_pipeline_run(run.id).run_metadata["training"]
    assert recorded["estimator"] == "logistic_regression"
    model = Client().get_model_version("regression_model", 1).get_artifact("risk_model").load()
    assert type(model[-1]).__name__ == "LogisticRegression"


@pytest.mark.parametrize(
    ("params", "message"),
    [({"estimatr": "x"}, "estimatr.*no effect.*estimator"), ({"estimator": "forest"}, "logistic_regression")],
)
def test_wrong_run_parameter_is_an_error(small_workspace: Workspace, params, message):
    with pytest.raises(ConfigError, match=message):
        small_workspace.training.with_params(params)


def test_generic_parameter_is_accepted(small_workspace: Workspace):
    assert small_workspace.training.with_params({"date": "2026-01-05"}) == small_workspace.training


def test_split_shares_no_patient_and_respects_time(generated: pd.DataFrame):
    train, test = split_in_time(generated, CONTRACT, 0.2)
    assert not set(train["patient_nbr"]) & set(test["patient_nbr"])
    assert train["encounter_id"].max() < test["encounter_id"].min()
    assert not {11, 13, 14, 19, 20, 21} & {
        *train["discharge_disposition_id"],
        *test["discharge_disposition_id"],
    }


def test_thresholds_stand_in_the_configuration_only():
    required = {name for name, field in TrainingConfig.model_fields.items() if field.is_required()}
    assert required == set(TrainingConfig.model_fields)
