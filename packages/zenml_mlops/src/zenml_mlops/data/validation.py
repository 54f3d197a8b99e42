"""The pandera schema of the training data, made from the contract."""

from __future__ import annotations

from typing import Any

import pandas as pd

from zenml_mlops.data.contract import ColumnRule, ColumnType, Contract

_EXAMPLES = 3
_DTYPES: dict[ColumnType, Any] = {ColumnType.INTEGER: "int64", ColumnType.NUMBER: "float64", ColumnType.TEXT: str}


class InvalidTrainingDataError(ValueError):
    """The training data breaks its schema. The message lists every broken rule."""


def validate_training_data(frame: pd.DataFrame, contract: Contract) -> None:
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
            **{rule.name: _column(pa, rule, unique=rule.name == contract.row_id) for rule in contract.columns},
            contract.label: pa.Column(str, pa.Check.isin(list(contract.labels))),
        },
        strict=True,
    )
    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        raise InvalidTrainingDataError(_summary(error.failure_cases, len(frame))) from error


def _column(pa: Any, rule: ColumnRule, *, unique: bool) -> Any:
    checks = []
    if rule.minimum is not None:
        checks.append(pa.Check.ge(rule.minimum))
    if rule.maximum is not None:
        checks.append(pa.Check.le(rule.maximum))
    if rule.values is not None:
        checks.append(pa.Check.isin(list(rule.values)))
    return pa.Column(_DTYPES[rule.type], checks, nullable=not rule.required, unique=unique)


def _summary(cases: pd.DataFrame, rows: int) -> str:
    lines = []
    for (column, check), group in cases.groupby(["column", "check"], sort=True, dropna=False):
        examples = ", ".join(repr(value) for value in group["failure_case"].unique()[:_EXAMPLES])
        lines.append(f"- {column}: {check} is broken by {len(group)} of {rows} rows, such as {examples}")
    return f"The training data breaks {len(lines)} rules of the contract:\n" + "\n".join(lines)
