"""What a table looks like: the columns' types and ranges, and how well its target can be predicted."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

NUMBERED_ID = "row_id"
"""Name of the id where the table has none."""

LEAST_ROWS = 200
_MOST_MEASURED_ROWS = 20_000
_FOLDS = 4
_TEXT_VALUES = 12
_SHARE_OF_NAMES = 0.3
"""An integer with more distinct values than this share of the rows is a measurement, and a text a name."""

_INTEGER = re.compile(r"[+-]?(0|[1-9]\d{0,17})")
_SORTED = 0.75


class TableError(ValueError):
    """A table that no project can be made from. The message says what to change."""


@dataclass(frozen=True)
class Column:
    """A column of the contract.

    Attributes:
        type: ``integer``, ``number`` or ``text``.
        minimum: Smallest accepted number, with room below the smallest that occurs.
        low: The 5th percentile, for made-up rows.
        high: The 95th percentile.
        values: The most frequent texts, for made-up rows.
        note: Why it is no feature, if it is none.
    """

    name: str
    type: str
    required: bool
    feature: bool = True
    minimum: int | float | None = None
    maximum: int | float | None = None
    low: float = 0.0
    high: float = 0.0
    values: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A table, understood.

    Attributes:
        columns: The contract's columns, ids first.
        row_id: Column that numbers the rows in the order of time.
        numbered: Whether that is the position in the file, since no column is.
        group: Column of what rows can have in common; the row's id if there is none.
        event: The label that is predicted.
        missing: Largest share of missing values of a feature.
        auc: Area under the ROC curve of a quick model, cross-validated.
        best_column: Feature that ranks best alone, and how well.
    """

    rows: int
    columns: tuple[Column, ...]
    row_id: str
    numbered: bool
    group: str
    target: str
    labels: tuple[str, ...]
    event: str
    event_share: float
    missing: float
    auc: float
    best_column: tuple[str, float]

    @property
    def features(self) -> list[Column]:
        """The columns that the model reads."""
        return [column for column in self.columns if column.feature]


def inspect(
    path: Path,
    target: str,
    *,
    event: str | None = None,
    row_id: str | None = None,
    group: str | None = None,
    drop: Sequence[str] = (),
) -> Table:
    """Read a CSV and work out what its columns hold.

    Args:
        path: A CSV with a header, comma-separated, UTF-8.
        event: Its value of which the probability is wanted; the rarer one of two by default.
        row_id: Column of unique integers that grow with time; by default the position in the file.
        group: Column of what several rows can have in common, such as a customer.
        drop: Columns that are not known when a row is scored, or must not be used.

    Raises:
        TableError: If the table cannot be read, or lacks what a project needs.
    """
    import pandas as pd

    from zenml_mlops.data.tables import MISSING

    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=list(MISSING))
    except FileNotFoundError:
        raise TableError(f"There is no file {path}.") from None
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise TableError(f"{path.name} is not a comma-separated table in UTF-8: {error}") from error
    named = [("--target", target), ("--id", row_id), ("--group", group), *(("--drop", name) for name in drop)]
    for option, name in named:
        if name is not None and name not in frame.columns:
            raise TableError(f"{option} names {name!r}; {path.name} has the columns {list(frame.columns)}.")
    frame = frame.drop(columns=[name for name in drop if name not in {target, row_id, group}])
    taken = sorted(_reserved() & {str(name) for name in frame.columns})
    if taken:
        raise TableError(f"{taken} are columns of what is published beside the rows: rename them, or --drop them.")
    labelled = frame.loc[frame[target].notna()].reset_index(drop=True)
    labels, chosen = _labels(labelled[target], target, event)
    if len(labelled) < LEAST_ROWS:
        raise TableError(f"{path.name} has {len(labelled)} rows with a {target}; {LEAST_ROWS} are needed.")
    if row_id is None:
        if NUMBERED_ID in frame.columns:
            raise TableError(f"{path.name} has a column {NUMBERED_ID} already: name it with --id, or --drop it.")
        ids = pd.Series(range(1, len(labelled) + 1), name=NUMBERED_ID)
    else:
        ids = _ids(labelled[row_id], row_id)
    features = [name for name in frame.columns if name not in {target, row_id, group}]
    columns = [_column(labelled[name]) for name in features]
    if not any(column.feature for column in columns):
        raise TableError(f"{path.name} has no column that a model could read besides {target}.")
    identities = [Column(str(ids.name), "integer", required=True, feature=False, minimum=0, high=float(len(ids)))]
    if group is not None:
        identities.append(_identity(labelled[group]))
    truth = (labelled[target] == chosen).to_numpy(dtype="int64")
    units = labelled[group].fillna("").to_numpy() if group is not None else ids.to_numpy()
    matrix = _matrix(labelled, columns)
    _refuse_sorted(ids, truth, units)
    best = max(((name, _alone(matrix[name], truth, units)) for name in matrix.columns), key=lambda found: found[1])
    return Table(
        rows=len(labelled),
        columns=(*identities, *columns),
        row_id=str(ids.name),
        numbered=row_id is None,
        group=group or str(ids.name),
        target=target,
        labels=labels,
        event=chosen,
        event_share=float(truth.mean()),
        missing=max(float(labelled[column.name].isna().mean()) for column in columns if column.feature),
        auc=_auc(matrix, truth, units),
        best_column=best,
    )


def _reserved() -> set[str]:
    from zenml_mlops.inference.batch import prediction_schema, quarantine_schema

    return {*prediction_schema("date").names, *quarantine_schema(()).names, "day"}


def _labels(values: pd.Series, target: str, event: str | None) -> tuple[tuple[str, ...], str]:
    counts = values.value_counts()
    labels = tuple(sorted(str(value) for value in counts.index))
    if event is not None:
        if event not in labels:
            raise TableError(f"--event is {event!r}; {target} has the values {list(labels[:20])}.")
    elif len(labels) != 2:
        raise TableError(f"{target} has {len(labels)} values, {list(labels[:20])}: say which one with --event.")
    if len(labels) < 2:
        raise TableError(f"{target} has the one value {list(labels)}: there is nothing to distinguish.")
    return labels, event or str(counts.index[-1])


def _ids(values: pd.Series, name: str) -> pd.Series:
    if values.isna().any() or not values.map(lambda text: bool(_INTEGER.fullmatch(text))).all():
        raise TableError(f"--id {name} is no column of integers; leave it out to number the rows as they come.")
    ids = values.astype("int64")
    if ids.duplicated().any():
        raise TableError(f"--id {name} repeats; it is perhaps a --group. Leave --id out to number the rows.")
    if (ids < 0).any():
        raise TableError(f"--id {name} has negative values; leave it out to number the rows as they come.")
    return ids


def _identity(values: pd.Series) -> Column:
    complete = bool(values.notna().all())
    whole = complete and values.map(lambda text: bool(_INTEGER.fullmatch(str(text)))).all()
    kind = "integer" if whole else "text"
    return Column(str(values.name), kind, required=complete, feature=False, values=("a", "b", "c"))


def _column(values: pd.Series) -> Column:
    name, known = str(values.name), values.dropna()
    required = len(known) == len(values)
    if known.nunique() < 2:
        return Column(name, "text", required=False, feature=False, note="it has one value")
    if known.map(lambda text: bool(_INTEGER.fullmatch(text))).all():
        numbers = known.astype("int64")
        # A missing value has no place in a column of integers, and an integer of many values is a measurement.
        if required and numbers.nunique() <= max(_SHARE_OF_NAMES * len(known), 2):
            return _numeric(name, "integer", numbers, required=True)
        return _numeric(name, "number", numbers.astype("float64"), required=required)
    measured = _floats(known)
    if measured is not None:
        return _numeric(name, "number", measured, required=required)
    counts = known.value_counts()
    values_shown = tuple(str(value) for value in counts.index[:_TEXT_VALUES] if counts[value] * 100 >= len(known))
    if len(counts) > _SHARE_OF_NAMES * len(known):
        note = f"{len(counts)} texts in {len(known)} rows: it names rows"
        return Column(name, "text", required=False, feature=False, values=values_shown, note=note)
    return Column(name, "text", required=False, values=values_shown or (str(counts.index[0]),))


def _floats(known: pd.Series) -> pd.Series | None:
    try:
        numbers = known.astype("float64")
    except ValueError:
        return None
    return numbers if numbers.map(math.isfinite).all() else None


def _numeric(name: str, kind: str, numbers: pd.Series, *, required: bool) -> Column:
    smallest, largest = float(numbers.min()), float(numbers.max())
    room = largest - smallest
    # Only an entry error is to be refused: as much room on either side as the values span.
    low = 0.0 if smallest >= 0 else _rounded(smallest - room, math.floor)
    high = _rounded(largest + room, math.ceil)
    bounds: tuple[Any, Any] = (int(low), int(high)) if kind == "integer" else (low, high)
    return Column(
        name,
        kind,
        required,
        minimum=bounds[0],
        maximum=bounds[1],
        low=float(numbers.quantile(0.05)),
        high=float(numbers.quantile(0.95)),
    )


def _rounded(value: float, towards: Any) -> float:
    """Two significant digits, away from the values that occur."""
    if value == 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    return float(f"{towards(value / step) * step:.2g}")


def _matrix(frame: pd.DataFrame, columns: Sequence[Column]) -> pd.DataFrame:
    """The features as numbers: texts become the number of the value."""
    import pandas as pd

    found: dict[str, Any] = {}
    for column in columns:
        if column.feature:
            values = frame[column.name]
            found[column.name] = (
                pd.Series(pd.factorize(values)[0], index=values.index).where(values.notna())
                if column.type == "text"
                else values.astype("float64")
            )
    return pd.DataFrame(found)


def _refuse_sorted(ids: pd.Series, truth: Any, units: Any) -> None:
    skill = _alone(ids, truth, units)
    if skill > _SORTED:
        raise TableError(
            f"The position of a row ({ids.name}) ranks the target with AUC {skill:.2f}: the table is sorted by "
            "it, or the id leaks it. Rows are split by that order, so name an --id that grows with time, or "
            "shuffle the file."
        )


def _alone(column: pd.Series, truth: Any, units: Any) -> float:
    from zenml_mlops.gates.leaks import column_skill

    return column_skill(column, truth, units)[0]


def _auc(matrix: pd.DataFrame, truth: Any, units: Any) -> float:
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    from zenml_mlops.gates.statistics import auc

    rows = np.random.default_rng(0).permutation(len(matrix))[:_MOST_MEASURED_ROWS]
    if min(truth[rows].sum(), (1 - truth[rows]).sum()) < 2 * _FOLDS:
        raise TableError("There are too few rows with the event, or without it, to judge a model by.")
    model = HistGradientBoostingClassifier(max_iter=60, random_state=0)
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0)
    chosen = matrix.iloc[rows]
    target, groups = truth[rows], units[rows]
    scores = cross_val_predict(model, chosen, target, groups=groups, cv=folds, method="predict_proba")
    return auc(target, scores[:, 1])
