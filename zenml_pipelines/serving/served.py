"""A model version that is ready to answer requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from zenml_pipelines.batch import Decision
from zenml_pipelines.champion import Champion
from zenml_pipelines.contract import ROW_ID
from zenml_pipelines.scoring import score
from zenml_pipelines.serving.categories import KnownCategories
from zenml_pipelines.serving.schema import RequestContract, Row


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
        row_id: The row's id, named as in the request.
        risk: Probability of the event; 0 to 1.
        decision: What the threshold makes of it.
        unknown_categories: Columns whose category the model never met; it scores them as rare or missing.
    """

    row_id: int = Field(alias=ROW_ID)
    risk: float
    decision: Decision
    unknown_categories: list[str]


@dataclass(frozen=True)
class Served:
    """A loaded version: immutable, so that a request which holds it is not touched by a switch.

    Attributes:
        version: Which version it is.
        contract: What its requests must look like.
        threshold: A risk at or above it is a high-risk decision.
        loaded_at: When it was loaded.
    """

    version: ModelVersion
    contract: RequestContract
    threshold: float
    loaded_at: datetime
    _model: Any
    _categories: KnownCategories

    @classmethod
    def of(cls, champion: Champion, model: Any, *, threshold: float, most_rows: int) -> Self:
        """Make a version ready, and score one made-up row.

        What cannot answer fails here, before any request meets it; and the first request does not pay for what
        libraries do once.

        Raises:
            MissingFeaturesError: If the model reads columns that its feature schema lacks.
        """
        contract = RequestContract(champion.feature_schema, most_rows)
        found = cls(
            version=ModelVersion(
                name=champion.model_name, version=champion.version, version_id=champion.version_id
            ),
            contract=contract,
            threshold=threshold,
            loaded_at=datetime.now(UTC),
            _model=model,
            _categories=KnownCategories.of(model),
        )
        found.answer([contract.example()])
        return found

    def answer(self, rows: Sequence[Row]) -> list[Prediction]:
        """Score rows that keep the contract, in order."""
        frame = pa.RecordBatch.from_pylist(list(rows), schema=self.contract.arrow).to_pandas()
        risks = score(self._model, frame)
        return [
            Prediction(
                row_id=row[ROW_ID],
                risk=float(risk),
                decision=Decision.HIGH_RISK if risk >= self.threshold else Decision.LOW_RISK,
                unknown_categories=unknown,
            )
            for row, risk, unknown in zip(rows, risks, self._categories.unknown(rows), strict=True)
        ]
