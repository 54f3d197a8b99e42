"""What a gate wants to know about data before a model is trained on it: a profile and measures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pandas as pd
from pydantic import Field

from zenml_airflow.contracts.frozen import Frozen
from zenml_mlops.gates.limits import Measure, not_judged

PROFILE_METADATA = "data_profile"
"""Key of the profile in the metadata of a model version that was trained on the data."""

_SHOWN = 5
_DAY_SECONDS = 86_400


class ColumnProfile(Frozen):
    """One column of a frame.

    Attributes:
        missing_share: Share of rows without a value, 0 to 1.
        distinct: Number of different values, missing not counted.
    """

    dtype: str
    missing_share: float = Field(ge=0, le=1)
    distinct: int = Field(ge=0)


class DataProfile(Frozen):
    """What a frame looks like, without any of its values."""

    rows: int = Field(ge=0)
    columns: dict[str, ColumnProfile]


def profile(frame: pd.DataFrame) -> DataProfile:
    """Describe a frame. One of no rows or no columns is described, not refused: that is a gate's business."""
    return DataProfile(
        rows=len(frame),
        columns={
            str(name): ColumnProfile(
                dtype=str(column.dtype),
                missing_share=float(column.isna().mean()) if len(column) else 0.0,
                distinct=int(column.nunique()),
            )
            for name, column in frame.items()
        },
    )


def size_measures(found: DataProfile, reference: DataProfile | None, source: str) -> tuple[Measure, ...]:
    """``rows``, ``columns`` and ``rows_ratio`` (to the reference).

    Args:
        source: What the reference is, or why there is none.
    """
    ratio = None if reference is None or not reference.rows else found.rows / reference.rows
    compared = source if reference is None else f"{found.rows} rows; {source} had {reference.rows}"
    return (
        Measure(metric="rows", value=found.rows, evidence=f"{found.rows} rows"),
        Measure(metric="columns", value=len(found.columns), evidence=f"{len(found.columns)} columns"),
        Measure(
            metric="rows_ratio", value=ratio, evidence=compared, not_judged=source if reference is None else None
        ),
    )


def missing_measures(
    found: DataProfile, reference: DataProfile | None, source: str, *, required: Sequence[str]
) -> tuple[Measure, ...]:
    """``missing_share`` of each required column, and against the reference ``missing_share_rise``.

    A column that is not there at all is missing in every row.

    Args:
        source: What the reference is, or why there is none.
        required: Columns whose values are needed, such as the inputs of the model.
    """
    measures = []
    for name in required:
        column = found.columns.get(name)
        share = 1.0 if column is None or not found.rows else column.missing_share
        text = "is missing" if column is None else f"has no value in {share:.1%} of {found.rows} rows"
        measures.append(Measure(metric="missing_share", subject=name, value=share, evidence=f"{name} {text}"))
    if reference is None:
        return (*measures, not_judged("missing_share_rise", source))
    for name, before in reference.columns.items():
        column = found.columns.get(name)
        share = 1.0 if column is None else column.missing_share
        rise = share - before.missing_share
        text = f"{name} misses {share:.1%} of {found.rows} rows; {source} {before.missing_share:.1%}"
        measures.append(Measure(metric="missing_share_rise", subject=name, value=rise, evidence=text))
    return tuple(measures)


def change_measure(found: DataProfile, reference: DataProfile | None, source: str) -> Measure:
    """``changed_columns``: how many were added, removed or got another type since the reference."""
    if reference is None:
        return not_judged("changed_columns", source)
    changes = [f"{name} is gone" for name in reference.columns if name not in found.columns]
    changes += [f"{name} is new" for name in found.columns if name not in reference.columns]
    changes += [
        f"{name} is {column.dtype}, was {reference.columns[name].dtype}"
        for name, column in found.columns.items()
        if name in reference.columns and column.dtype != reference.columns[name].dtype
    ]
    text = "; ".join(changes[:_SHOWN]) or "none"
    return Measure(metric="changed_columns", value=len(changes), evidence=f"changes since {source}: {text}")


def duplicate_measure(frame: pd.DataFrame, key: Sequence[str]) -> Measure:
    """``duplicate_rows``: rows whose key occurs earlier in the frame."""
    missing = [name for name in key if name not in frame.columns]
    if missing:
        return Measure(metric="duplicate_rows", value=None, evidence=f"the key column {missing} is not there")
    repeated = frame.duplicated(subset=list(key))
    text = f"{int(repeated.sum())} of {len(frame)} rows repeat a value of {', '.join(key)}"
    if repeated.any():
        first = frame.loc[repeated, list(key)].head(_SHOWN).to_numpy().tolist()
        text = f"{text}, such as {first}"
    return Measure(metric="duplicate_rows", value=int(repeated.sum()), evidence=text)


def label_measures(labels: pd.Series | None, rows: int) -> tuple[Measure, ...]:
    """``label_share`` (rows with a label) and ``rarer_class_share`` (of those, the rarer of two classes).

    Args:
        labels: n labels, 0, 1 or missing; ``None`` if the column is not there.
    """
    if labels is None or not rows:
        reason = "the label column is missing" if labels is None else "there are no rows"
        return tuple(
            Measure(metric=metric, value=None, evidence=reason) for metric in ("label_share", "rarer_class_share")
        )
    known = labels.dropna()
    positives = int((known == 1).sum())
    rarer = min(positives, len(known) - positives)
    having = f"{len(known)} of {rows} rows have a label"
    events = f"{positives} of {len(known)} labelled rows have the event"
    return (
        Measure(metric="label_share", value=len(known) / rows, evidence=having),
        Measure(metric="rarer_class_share", value=rarer / max(len(known), 1), evidence=events),
    )


def age_measure(metric: str, newest: datetime | None, at: datetime, what: str) -> Measure:
    """Freshness in days.

    Args:
        newest: When the newest of the data is from (aware); ``None`` if that cannot be told.
        at: The moment to which the age counts (aware).
        what: What carries the time, such as ``the source file``.
    """
    if newest is None:
        return Measure(metric=metric, value=None, evidence=f"{what} has no time")
    age = (at - newest).total_seconds() / _DAY_SECONDS
    return Measure(metric=metric, value=age, evidence=f"{what} is from {newest.isoformat(timespec='seconds')}")


def schema_measure(broken: Sequence[str]) -> Measure:
    """``schema_violations``: the rules that a schema check found broken, one sentence each."""
    text = "; ".join(broken) or "every rule holds"
    return Measure(metric="schema_violations", value=len(broken), evidence=text)
