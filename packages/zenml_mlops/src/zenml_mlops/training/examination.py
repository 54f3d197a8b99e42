"""What the gates want to know about the data and about a risk model: the shared checks, told our columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from zenml_mlops.data.contract import Contract
from zenml_mlops.data.validation import InvalidTrainingDataError, validate_training_data
from zenml_mlops.gates.data_checks import (
    DataProfile,
    age_measure,
    change_measure,
    duplicate_measure,
    label_measures,
    missing_measures,
    profile,
    schema_measure,
    size_measures,
)
from zenml_mlops.gates.leaks import feature_measures, name_measures, share_measures, split_measures
from zenml_mlops.gates.limits import Examination, not_judged
from zenml_mlops.gates.model_checks import (
    champion_measure,
    latency_measures,
    refit_measure,
    slice_measure,
)
from zenml_mlops.gates.statistics import auc, group_weights
from zenml_mlops.gates.subgroups import subgroup_measures
from zenml_mlops.inference.scoring import score
from zenml_mlops.training.config import TrainingConfig

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class ChampionModel:
    """The champion, ready for the comparison.

    Attributes:
        name: What people call it.
        model: Its scikit-learn Pipeline.
        groups: The groups it was trained on.
    """

    name: str
    model: Any
    groups: Array


def examine_rows(
    frame: pd.DataFrame,
    contract: Contract,
    reference: DataProfile | None,
    source: str,
    *,
    modified_at: datetime | None,
    now: datetime,
) -> tuple[Examination, DataProfile]:
    """Examine the rows that training may see. Nothing is raised: an empty frame is examined too.

    Args:
        frame: n rows with label.
        reference: Profile of the data that the version in production was trained on.
        source: What the reference is, or why there is none.
        now: The moment to which its age counts.
    """
    found = profile(frame)
    try:
        validate_training_data(frame, contract)
        broken: Sequence[str] = ()
    except InvalidTrainingDataError as error:
        broken = str(error).splitlines()[1:] or [str(error)]
    known = frame[contract.label].isin(contract.labels) if contract.label in frame.columns else None
    measures = (
        schema_measure([line.removeprefix("- ") for line in broken]),
        *size_measures(found, reference, source),
        *missing_measures(found, reference, source, required=contract.features),
        change_measure(found, reference, source),
        duplicate_measure(frame, (contract.row_id,)),
        *label_measures(None if known is None else contract.events(frame).where(known), len(frame)),
        age_measure("source_age_days", modified_at, now, "the source file"),
    )
    return Examination(measures=measures), found


def examine_risk_model(
    model: Any,
    train: pd.DataFrame,
    test: pd.DataFrame,
    contract: Contract,
    config: TrainingConfig,
    *,
    champion: ChampionModel | None,
    no_champion_reason: str,
) -> Examination:
    """Examine a fitted model and the rows it was made from.

    Args:
        model: The fitted scikit-learn Pipeline; the columns it reads are those it was fitted with.
        test: Later rows of other groups.
    """
    features = [str(name) for name in model.feature_names_in_]
    truth, test_truth = contract.events(train).to_numpy(), contract.events(test).to_numpy()
    groups, order = train[contract.group_id].to_numpy(), train[contract.row_id].to_numpy()
    test_groups, test_order = test[contract.group_id].to_numpy(), test[contract.row_id].to_numpy()
    risks = score(model, test)
    rules, bootstrap = config.examination, config.bootstrap
    weights = group_weights(test_groups, bootstrap.resamples, config.seed)
    if champion is None:
        against = not_judged("auc_over_champion", no_champion_reason)
    else:
        new = ~np.isin(test_groups, champion.groups)
        against = champion_measure(
            test_truth[new],
            risks[new],
            score(champion.model, test.loc[new]),
            weights[:, new],
            rules.champion,
            confidence=bootstrap.confidence,
            champion=champion.name,
        )
    scored = list(dict.fromkeys([*features, *contract.identifiers]))
    alone = feature_measures(train[scored], truth, groups, order, contract.identifiers)
    return Examination(
        measures=(
            *name_measures(features, (contract.label, *contract.identifiers), train, groups),
            *alone,
            *split_measures(groups, test_groups, order, test_order),
            *share_measures(alone, features, auc(test_truth, risks)),
            *subgroup_measures(
                test,
                test_truth,
                risks,
                weights,
                rules.subgroups,
                threshold=config.decision_threshold,
                confidence=bootstrap.confidence,
            ),
            refit_measure(model, train[features], truth, groups, rules.stability, seed=config.seed),
            slice_measure(test_truth, risks, test_order, rules.stability),
            *latency_measures(partial(score, model), test, rules.latency),
            against,
        )
    )
