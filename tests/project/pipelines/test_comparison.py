"""Champion against challenger: each verdict on real encounters, and the pipeline on a ZenML of its own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from labs.model_bench import fit
from labs.pipeline_workspace import Workspace, settings
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from zenml_airflow.context import cli_context, run_context
from zenml_airflow.contracts.model_records import COMPARISON_METADATA, ComparisonVerdict
from zenml_mlops.cli.models_compare import comparison_of
from zenml_mlops.inference.scoring import score
from zenml_mlops.training.comparison import VersionPair, compare, judge_gain
from zenml_mlops.training.comparison_report import render_comparison
from zenml_mlops.training.config import ChampionChallengerConfig
from zenml_mlops.training.splitting import unseen_rows
from zenml_pipelines.config import TrainingConfig
from zenml_pipelines.use_case.contract import CONTRACT
from zenml_pipelines.use_case.schema import ENCOUNTER_ID, PATIENT_ID

CONFIG = ChampionChallengerConfig.from_settings(settings())


def run_comparison(frame, challenger, champion, config=CONFIG):
    """Compare two arrays of risks of the rows."""
    return compare(
        VersionPair(challenger=2, champion=1),
        frame,
        CONTRACT.events(frame).to_numpy(),
        (challenger, champion),
        contract=CONTRACT,
        bootstrap=config.bootstrap,
        subgroups=config.subgroups,
        rules=config.rules,
        seed=config.seed,
    )


@pytest.fixture(scope="module")
def arena(bench):
    """Published encounters later than the training, with the risks of the honest model and of a weak one."""
    rows = unseen_rows(bench.test, CONTRACT, [bench.train])
    weak_config = bench.config.model_dump()
    weak_config["estimators"]["hist_gradient_boosting"] |= {"max_iter": 1, "max_leaf_nodes": 2}
    weak = fit(TrainingConfig.model_validate(weak_config), bench.train)
    return rows, score(bench.honest, rows), score(weak, rows)


def test_the_champion_wins_on_the_published_encounters(arena):
    rows, honest, weak = arena
    found = run_comparison(rows, weak, honest)
    assert found.verdict is ComparisonVerdict.WORSE
    assert "average_precision" in found.reason
    assert (found.rows, found.first) == (len(rows), int(rows[ENCOUNTER_ID].min()))
    truth = CONTRACT.events(rows).to_numpy()
    by_metric = {d.metric: d for d in found.differences}
    for metric, sklearn in (
        ("average_precision", average_precision_score),
        ("roc_auc", roc_auc_score),
        ("brier", brier_score_loss),
    ):
        assert by_metric[metric].challenger == pytest.approx(sklearn(truth, weak), abs=1e-6)
        assert by_metric[metric].champion == pytest.approx(sklearn(truth, honest), abs=1e-6)
        assert by_metric[metric].upper < 0
    # A smaller Brier score is better, so the sign of its gain is turned.
    brier = by_metric["brier"]
    assert brier.gain == pytest.approx(brier.champion - brier.challenger)
    page = render_comparison(found)
    assert "Version 2 against version 1: worse" in page
    assert page.count("<svg ") == 2
    assert "race=Caucasian" in page


def test_the_challenger_wins_where_it_is_the_better_one(arena):
    rows, honest, weak = arena
    found = run_comparison(rows, honest, weak)
    assert found.verdict is ComparisonVerdict.BETTER
    assert [d.subject for d in found.slices] == sorted(d.subject for d in found.slices)
    assert sum(d.rows for d in found.slices) == len(rows)
    judged = {d.subject for d in found.groups if d.verdict is not None}
    assert {"gender=Female", "gender=Male"} <= judged
    assert any(d.verdict is None and d.lower is None for d in found.groups)


def test_the_same_skill_is_not_worse_and_little_noise_does_not_hide_it(arena):
    rows, honest, _ = arena
    noise = np.random.default_rng(1).normal(0, 1e-4, len(rows))
    found = run_comparison(rows, np.clip(honest + noise, 0, 1), honest)
    assert found.verdict is ComparisonVerdict.NOT_WORSE
    assert all(abs(d.gain) < d.margin for d in found.differences)


def test_too_few_events_decide_nothing(arena):
    rows, honest, weak = arena
    events = np.flatnonzero(CONTRACT.events(rows).to_numpy())[: CONFIG.rules.min_positives - 1]
    few = slice(0, events[-1] + 1)
    found = run_comparison(rows.iloc[few], weak[few], honest[few])
    assert found.verdict is ComparisonVerdict.UNDECIDED
    assert "199 events are new to both, 200 are needed" in found.reason
    assert "undecided" in render_comparison(found)


def test_too_wide_an_interval_decides_nothing(arena):
    rows, honest, _ = arena
    half = slice(0, len(rows) // 4)
    noise = np.random.default_rng(2).normal(0, 0.03, len(rows))
    rules = CONFIG.rules.model_copy(update={"min_positives": 20})
    config = CONFIG.model_copy(update={"rules": rules})
    found = run_comparison(rows.iloc[half], np.clip(honest + noise, 0, 1)[half], honest[half], config)
    assert found.verdict is ComparisonVerdict.UNDECIDED
    assert any(d.lower < -d.margin and d.upper > 0 for d in found.differences)


@pytest.mark.parametrize(
    ("lower", "upper", "verdict"),
    [
        (0.001, 0.02, ComparisonVerdict.BETTER),
        (-0.01, 0.02, ComparisonVerdict.NOT_WORSE),
        (-0.01, -0.001, ComparisonVerdict.NOT_WORSE),
        (-0.02, -0.001, ComparisonVerdict.WORSE),
        (-0.02, 0.001, ComparisonVerdict.UNDECIDED),
    ],
)
def test_an_interval_and_a_margin_give_a_verdict(lower, upper, verdict):
    assert judge_gain(lower, upper, 0.01) is verdict


def test_rows_that_a_model_has_seen_are_left_out():
    rows = pd.DataFrame(
        {
            ENCOUNTER_ID: [9, 5, 3, 7, 8],
            PATIENT_ID: [1, 2, 3, 4, 5],
            "discharge_disposition_id": ["1", "1", "1", "1", "11"],
        }
    ).astype({"discharge_disposition_id": "int64"})
    trained = [
        pd.DataFrame({ENCOUNTER_ID: [4], PATIENT_ID: [9]}),
        pd.DataFrame({ENCOUNTER_ID: [2], PATIENT_ID: [2]}),
    ]
    # 3 is older than a training part, 5 is of a patient that was trained on, 8 died.
    assert list(unseen_rows(rows, CONTRACT, trained)[ENCOUNTER_ID]) == [7, 9]


@pytest.fixture(scope="module")
def pipeline_config(small_workspace: Workspace) -> ChampionChallengerConfig:
    rules = CONFIG.rules.model_copy(update={"min_positives": 20})
    bootstrap = small_workspace.training.bootstrap
    return CONFIG.model_copy(update={"model_name": "compared", "bootstrap": bootstrap, "rules": rules})


def play(workspace: Workspace, config: ChampionChallengerConfig, **params):
    from datetime import date

    from zenml.client import Client
    from zenml.enums import ExecutionMode

    from zenml_pipelines.pipelines.champion_challenger import champion_challenger

    context = cli_context(date(2026, 1, 4), environment="local", storage_root=str(workspace.root), params=params)
    with run_context(context):
        run = champion_challenger.with_options(execution_mode=ExecutionMode.FAIL_FAST)(config=config)
    return Client().get_pipeline_run(run.id)


def test_the_pipeline_first_without_a_champion_then_against_one(small_workspace, pipeline_config):
    from zenml.client import Client

    from zenml_mlops.promotion import promote

    training = small_workspace.training.model_copy(update={"model_name": "compared"})
    small_workspace.train(training)
    alone = play(small_workspace, pipeline_config)
    assert alone.run_metadata[COMPARISON_METADATA]["verdict"] == "no champion"
    promote("compared", 1)
    with pytest.raises(Exception, match="not compared with itself"):
        play(small_workspace, pipeline_config, version=1)
    small_workspace.train(training, estimator="logistic_regression")
    staged = play(small_workspace, pipeline_config, version=2, stage="staging")
    assert staged.run_metadata[COMPARISON_METADATA]["verdict"] == "no champion"
    run = play(small_workspace, pipeline_config, version=2)
    version = Client().get_model_version("compared", 2)
    found = version.run_metadata[COMPARISON_METADATA]
    assert (found["challenger"], found["champion"], found["run"]) == (2, 1, str(run.id))
    assert found["verdict"] in {verdict.value for verdict in ComparisonVerdict} - {"no champion"}
    assert {d["metric"] for d in found["differences"]} == set(CONFIG.rules.margins)
    assert comparison_of("compared", 2).model_dump(mode="json", exclude_none=True).items() <= found.items()
    labelled = run.steps["gather_labelled"].outputs["labelled"][0].load()
    assert found["rows"] == len(labelled)
    for number in (1, 2):
        trained_by = Client().get_model_version("compared", number).get_artifact("risk_model").run
        train = trained_by.steps["split_data"].outputs["train"][0].load()
        assert not set(train[PATIENT_ID]) & set(labelled[PATIENT_ID])
        assert train[ENCOUNTER_ID].max() < labelled[ENCOUNTER_ID].min()
    assert labelled[ENCOUNTER_ID].is_monotonic_increasing
