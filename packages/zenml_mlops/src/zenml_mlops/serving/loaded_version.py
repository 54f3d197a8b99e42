"""A model version that is ready to answer requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Self
from uuid import UUID

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, create_model

from zenml_mlops.data.use_case import Grouping
from zenml_mlops.inference.batch import Decision
from zenml_mlops.inference.champion import ScoringVersion
from zenml_mlops.inference.scoring import score
from zenml_mlops.serving.categories import KnownCategories
from zenml_mlops.serving.schema import RequestContract, Row


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, protected_namespaces=(), validate_by_name=True, serialize_by_alias=True)


class ModelVersion(_Answer):
    """The version that answered.

    Attributes:
        name: Name of the model.
        version: Number of the version.
        version_id: Its id in ZenML.
    """

    name: str
    version: int
    version_id: UUID


class Prediction(_Answer):
    """What the model says of one row.

    Attributes:
        row_id: The row's id, named as in the request, see :func:`prediction_type`.
        risk: Probability of the event; 0 to 1.
        decision: What the threshold makes of it.
        unknown_categories: Columns whose category the model never met; it scores them as rare or missing.
    """

    row_id: int
    risk: float
    decision: Decision
    unknown_categories: list[str]


@cache
def prediction_type(row_id: str) -> type[Prediction]:
    """The type of an answer whose row id is called ``row_id``, as in the requests."""
    return create_model("Prediction", __base__=Prediction, row_id=(int, Field(alias=row_id)))


@dataclass(frozen=True)
class LoadedVersion:
    """A loaded version: immutable, so that a request which holds it is not touched by a switch.

    Attributes:
        threshold: A risk at or above it is a high-risk decision.
    """

    version: ModelVersion
    contract: RequestContract
    threshold: float
    loaded_at: datetime
    _model: Any
    _categories: KnownCategories

    @classmethod
    def of(
        cls, champion: ScoringVersion, model: Any, grouping: Grouping, *, threshold: float, most_rows: int
    ) -> Self:
        """Make a version ready, and score one made-up row.

        What cannot answer fails here, before any request meets it; and the first request does not pay for what
        libraries do once.

        Raises:
            MissingFeaturesError: If the model reads columns that its contract lacks.
        """
        contract = RequestContract(champion.contract, most_rows)
        version = ModelVersion(name=champion.model_name, version=champion.version, version_id=champion.version_id)
        found = cls(
            version=version,
            contract=contract,
            threshold=threshold,
            loaded_at=datetime.now(UTC),
            _model=model,
            _categories=KnownCategories.of(model, champion.contract, grouping),
        )
        found.answer([contract.example()])
        return found

    def answer(self, rows: Sequence[Row]) -> list[Prediction]:
        """Score rows that keep the contract, in order."""
        frame = pa.RecordBatch.from_pylist(list(rows), schema=self.contract.arrow).to_pandas()
        risks = score(self._model, frame)
        row_id = self.contract.row_id
        prediction = prediction_type(row_id)
        return [
            prediction(
                row_id=row[row_id],
                risk=float(risk),
                decision=Decision.HIGH_RISK if risk >= self.threshold else Decision.LOW_RISK,
                unknown_categories=unknown,
            )
            for row, risk, unknown in zip(rows, risks, self._categories.unknown(rows), strict=True)
        ]
