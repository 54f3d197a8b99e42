"""A model of the published encounters, fitted and judged as training does it, in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from labs.pipeline_workspace import settings
from zenml_mlops.gates.limits import GateLimits, GateReport, judge
from zenml_mlops.gates.statistics import evaluate
from zenml_mlops.inference.scoring import score
from zenml_mlops.training.examination import ChampionModel, examine_risk_model
from zenml_mlops.training.fitting import fit_model
from zenml_pipelines.config import TrainingConfig
from zenml_pipelines.model import build_model
from zenml_pipelines.use_case.contract import CONTRACT
from zenml_pipelines.use_case.schema import PATIENT_ID


def quick_config() -> TrainingConfig:
    """The shipped limits. Fewer trees, resamples and refits: no verdict of the tests hangs on them."""
    shipped = TrainingConfig.from_settings(settings()).model_dump()
    shipped["estimators"]["hist_gradient_boosting"] |= {"max_iter": 80}
    shipped["bootstrap"] |= {"resamples": 60}
    shipped["examination"]["stability"] |= {"rows": 2000, "folds": 2}
    return TrainingConfig.model_validate(shipped)


def fit(config: TrainingConfig, train: pd.DataFrame) -> Any:
    model = build_model(config)
    fit_model(model, train[CONTRACT.features], CONTRACT.events(train), before_estimator=None)
    return model


@dataclass(frozen=True)
class Bench:
    """The published encounters of a fifth of the patients, and the honest model of them."""

    config: TrainingConfig
    train: pd.DataFrame
    test: pd.DataFrame
    honest: Any

    def examine(
        self, train: pd.DataFrame, test: pd.DataFrame, model: Any = None, champion: ChampionModel | None = None
    ) -> GateReport:
        """Fit a model, or take one, and judge it as training does."""
        fitted = model or fit(self.config, train)
        metrics = evaluate(
            CONTRACT.events(test).to_numpy(),
            score(fitted, test),
            test[PATIENT_ID].to_numpy(),
            unit=CONTRACT.group,
            resamples=self.config.bootstrap.resamples,
            confidence=self.config.bootstrap.confidence,
            seed=self.config.seed,
        )
        found = examine_risk_model(
            fitted,
            train,
            test,
            CONTRACT,
            self.config,
            champion=champion,
            no_champion_reason="there is no champion",
        )
        return judge(metrics, GateLimits(limits=self.config.gates), found.measures)


def failures(report: GateReport) -> set[tuple[str, str | None]]:
    return {(verdict.gate, verdict.subject) for verdict in report.failures}
