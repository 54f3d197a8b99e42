"""The configuration that a table suggests: limits by what was measured, each with its reason."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from zenml_mlops.scaffold.inspection import Table

DAYS = 100
"""The held-out rows are spread over about so many days."""

_START = date(2026, 1, 1)
_HOLDOUT = 0.10
_TEST = 0.20
_LATENCY = "Somebody waits for a single prediction; generous, because training shares the machine."


def proposed(
    table: Table, *, name: str, title: str, outcome: str, owner: str, subgroups: list[str], label_delay: int
) -> dict[str, Any]:
    """Values of ``configs/base.yaml`` that a table suggests, by path."""
    held_out = round(table.rows * _HOLDOUT)
    tested = round((table.rows - held_out) * _TEST)
    events = max(10, min(200, int(tested * min(table.event_share, 1 - table.event_share) / 4)))
    rare = min(table.event_share, 1 - table.event_share)
    small = tested < 2000
    found = f"a quick model of the first table reached {table.auc:.3f}"
    column, alone = table.best_column
    suspicious = 1.0 if table.auc > 0.95 else round(table.auc + (1 - table.auc) / 3, 3)
    skill = round(max(0.55, min(0.75, table.auc - 0.10)), 2)
    carried = (alone - 0.5) / max(table.auc - 0.5, 0.01)
    brier = round(table.event_share * (1 - table.event_share), 3)
    training, gates = "pipelines.training", "pipelines.training.gates"
    data_gates = "pipelines.training.data_gates"
    return {
        "data.feed.per_day": max(1, held_out // DAYS),
        f"{training}.model_name": name,
        f"{training}.estimators.hist_gradient_boosting.min_samples_leaf": max(5, min(100, table.rows // 60)),
        f"{training}.min_category_frequency": max(5, min(100, table.rows // 200)),
        f"{training}.examination.subgroups.columns": subgroups,
        f"{training}.examination.subgroups.min_rows": max(20, min(500, tested // 8)),
        f"{training}.examination.subgroups.min_positives": max(5, min(50, events // 2)),
        f"{training}.examination.champion.min_positives": events,
        f"{data_gates}.enough_rows.minimum": max(50, int(table.rows * (1 - _HOLDOUT)) // 2),
        f"{data_gates}.enough_rows.why": "Half the rows of the first table; more than the maximum do not fit.",
        f"{data_gates}.values_present.maximum": round(min(1.0, max(0.7, table.missing + 0.1)), 2),
        f"{data_gates}.values_present.why": (
            f"A model input that is mostly missing carries nothing; at most {table.missing:.0%} are missing in "
            "the first table."
        ),
        f"{data_gates}.no_duplicates.why": "A row that occurs twice counts twice.",
        f"{data_gates}.fresh.why": "The source file's age stands for its rows'.",
        f"{data_gates}.both_classes.minimum": round(min(0.02, rare / 2), 4),
        f"{data_gates}.both_classes.why": (
            f"Nothing is learned from one class; {table.event_share:.1%} of the first table have the event."
        ),
        f"{gates}.skill.minimum": skill,
        f"{gates}.skill.why": f"A floor to begin with: {found}. Raise it once you know what is useful.",
        f"{gates}.too_good_to_be_true.maximum": suspicious,
        f"{gates}.too_good_to_be_true.why": f"Far above what is honest a leak is likelier than skill: {found}.",
        f"{gates}.useful_ranking.minimum": round(min(1.3, 1 + (1 / table.event_share - 1) / 4), 2),
        f"{gates}.sharp_probabilities.maximum": brier,
        f"{gates}.sharp_probabilities.why": "Mean squared error of the probability; the base rate alone has this.",
        f"{gates}.calibration.maximum": 0.25 if small else 0.05,
        f"{gates}.calibration.why": (
            "Predicted and observed rates must agree, or the decision threshold means nothing"
            + ("; wide, because the test rows are few." if small else ".")
        ),
        f"{gates}.not_worse_than_champion.minimum": -0.05 if small else -0.02,
        f"{gates}.no_feature_explains_all.maximum": round(min(1.0, max(0.68, alone + (1 - alone) / 2)), 3),
        f"{gates}.no_feature_explains_all.why": (
            f"The best column alone, {column}, ranks with {alone:.3f}; a better one holds the label, or an id."
        ),
        f"{gates}.no_feature_carries_all.maximum": 0.9 if carried < 0.8 else 1.2,
        f"{gates}.no_feature_carries_all.why": (
            f"A model that adds next to nothing to one column is that column; {column} carries {carried:.0%} of "
            "the skill of a quick model."
        ),
        f"{gates}.no_hindsight.why": "One that knows what comes later was made from later rows.",
        f"{gates}.no_label_or_id_as_feature.why": (
            "The label is what is predicted, and an identifier does not generalise to a new row."
        ),
        f"{gates}.no_id_like_feature.why": "A column with a value for every other row names rows.",
        f"{gates}.no_shared_groups.why": "A group on both sides of the split is remembered, not predicted.",
        f"{gates}.fair_recall.why": "Events in a group are found that much less often.",
        f"{gates}.stable_refits.maximum": 0.2 if small else 0.1,
        f"{gates}.stable_over_time.maximum": 0.25 if small else 0.1,
        f"{gates}.quick_answer.why": _LATENCY,
        "pipelines.training.card.title": title,
        "pipelines.training.card.purpose": f"Ranks rows by the risk that {outcome}.",
        "pipelines.training.card.owner": owner,
        "pipelines.training.card.intended_use": "To be written by the owner: who acts on a risk, and how.",
        "pipelines.training.card.not_for": ["Any use that the owner has not described here."],
        "pipelines.training.card.data": (
            f"One table of {table.rows:,} rows, {table.event_share:.1%} of them with the event."
        ),
        "pipelines.training.card.limits": ["To be written by the owner: what the data does not hold."],
        "pipelines.batch_inference.model_name": name,
        "pipelines.batch_inference.decision_threshold": round(min(0.5, 2 * table.event_share), 3),
        "pipelines.champion_challenger.rules.min_positives": events,
        "pipelines.monitoring.rules.performance.label_delay_days": label_delay,
        "pipelines.monitoring.rules.performance.minimum_positives": max(10, min(100, events)),
    }


def last_day(table: Table) -> str:
    """About the last day of the replay, after which no partition comes."""
    held_out = round(table.rows * _HOLDOUT)
    return (_START + timedelta(days=max(20, min(DAYS, held_out) - 15))).isoformat()
