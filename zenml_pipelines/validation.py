"""The pandera schema of the training data, made from the contract."""

from __future__ import annotations

from typing import Any

import pandas as pd

from zenml_pipelines.columns import ColumnRule, ColumnType
from zenml_pipelines.contract import COLUMN_RULES, LABEL, LABELS, ROW_ID

_EXAMPLES = 3
_DTYPES: dict[ColumnType, Any] = {ColumnType.INTEGER: "int64", ColumnType.NUMBER: "float64", ColumnType.TEXT: str}


class InvalidTrainingDataError(ValueError):
    """The training data breaks its schema. The message lists every broken rule."""


def validate_training_data(frame: pd.DataFrame) -> None:
    """Check every rule of the contract on a frame of n rows, label included.

    Raises:
        InvalidTrainingDataError: If the frame is empty or breaks a rule; all of them at once, each with the
            number of rows and examples.
    """
    import pandera.pandas as pa
    from pandera.errors import SchemaErrors

    if frame.empty:
        raise InvalidTrainingDataError(
            "The training data holds no rows. Fetch it again with `mlops data fetch`, and check that "
            "data.holdout_fraction leaves some."
        )
    schema = pa.DataFrameSchema(
        {
            **{rule.name: _column(pa, rule) for rule in COLUMN_RULES},
            LABEL: pa.Column(str, pa.Check.isin(list(LABELS))),
        },
        strict=True,
    )
    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        raise InvalidTrainingDataError(_summary(error.failure_cases, len(frame))) from error


def _column(pa: Any, rule: ColumnRule) -> Any:
    checks = []
    if rule.minimum is not None:
        checks.append(pa.Check.ge(rule.minimum))
    if rule.maximum is not None:
        checks.append(pa.Check.le(rule.maximum))
    if rule.values is not None:
        checks.append(pa.Check.isin(list(rule.values)))
    return pa.Column(_DTYPES[rule.type], checks, nullable=not rule.required, unique=rule.name == ROW_ID)


def _summary(cases: pd.DataFrame, rows: int) -> str:
    lines = []
    for (column, check), group in cases.groupby(["column", "check"], sort=True, dropna=False):
        examples = ", ".join(repr(value) for value in group["failure_case"].unique()[:_EXAMPLES])
        lines.append(f"- {column}: {check} is broken by {len(group)} of {rows} rows, such as {examples}")
    return f"The training data breaks {len(lines)} rules of zenml_pipelines/contract.py:\n" + "\n".join(lines)
