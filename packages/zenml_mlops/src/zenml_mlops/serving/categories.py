"""Which categories a model met in training, to tell a client which of its values the model does not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import pandas as pd

from zenml_mlops.data.contract import ColumnType, Contract
from zenml_mlops.data.use_case import Grouping

_MOST_CODES: Final = 10_000
"""Codes whose group is remembered."""


class KnownCategories:
    """The categories that the encoder of a model learned, by the feature's name.

    The features of a row are computed by the model again when it scores. Doing that twice would nearly double the
    time of a request, so the few rules by which a raw value becomes a category are followed here;
    ``tests/zenml_mlops/serving`` compares the result with the model's own features.
    """

    def __init__(self, known: Mapping[str, frozenset[str]], contract: Contract, grouping: Grouping) -> None:
        self._known, self._grouping = known, grouping
        plain = [rule for rule in contract.columns if rule.name in known]
        kinds = (ColumnType.INTEGER, ColumnType.TEXT)
        self._plain = [rule.name for kind in kinds for rule in plain if rule.type is kind]
        self._groups: dict[str | None, str] = {}

    @classmethod
    def of(cls, model: Any, contract: Contract, grouping: Grouping) -> Self:
        """Read the encoder of a fitted scikit-learn Pipeline."""
        known: dict[str, frozenset[str]] = {}
        for _, transformer, columns in model.named_steps["encode"].transformers_:
            learned = getattr(transformer, "categories_", None)
            if learned is not None:
                known |= {name: frozenset(map(str, values)) for name, values in zip(columns, learned, strict=True)}
        return cls(known, contract, grouping)

    def unknown(self, rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
        """For each row the columns whose category the model never met, a missing value included.

        The model scores them as it does a missing or a rare value.
        """
        self._learn_groups({row.get(name) for row in rows for name in self._grouping.columns})
        return [self._unknown(row) for row in rows]

    def _unknown(self, row: Mapping[str, Any]) -> list[str]:
        values = {name: row.get(name) for name in self._plain}
        found = [name for name, value in values.items() if not self._knows(name, _category(value))]
        for name in self._grouping.columns:
            if not self._knows(self._grouping.feature(name), self._groups[row.get(name)]):
                found.append(name)
        return found

    def _knows(self, feature: str, category: str) -> bool:
        known = self._known.get(feature)
        return known is None or category in known

    def _learn_groups(self, codes: set[str | None]) -> None:
        """Group the codes that were not met before, in one call: it takes a millisecond for one or for many."""
        known = self._groups if len(self._groups) < _MOST_CODES else {}
        new = list(codes - known.keys())
        if new:
            groups = self._grouping.apply(self._grouping.columns[0], pd.Series(new, dtype="object"))
            known = {**known, **dict(zip(new, map(str, groups), strict=True))}
        self._groups = known


def _category(value: int | str | None) -> str:
    return "missing" if value is None else str(value)
