"""What a request must look like, built from the contract that is stored with the model.

What is refused here is what batch inference puts into quarantine; ``tests/zenml_mlops/serving`` compares the two.
Only the row's id and the columns that the model reads are taken: a column that nobody needs, such as an identity,
is refused and not ignored, so that it does not travel.

Nothing that a client sent appears in an error: an error may end up in a log, and a value may be a person's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Final, Literal, NotRequired

import pyarrow as pa
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    conlist,
    create_model,
)
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from zenml_mlops.data.contract import ColumnRule, ColumnType, Contract, Exclusion
from zenml_mlops.data.rows import arrow_schema

Row = dict[str, Any]

REF_TEMPLATE: Final = "#/components/schemas/{model}"
_LARGEST: Final = 2**63 - 1
_LARGEST_EXACT: Final = 2**53
"""Up to here a float is the one integer that it looks like."""
_NO_INTEGER: Final = "int_type"
_SHOWN: Final = 20
_typed_dict: Any = TypedDict
_STRICT: Final = ConfigDict(extra="forbid", strict=True)
_SENTENCES: Final = {
    "extra_forbidden": "is a field that the model does not read: leave it out",
    "json_invalid": "The body is not valid JSON.",
    "missing": "is missing",
}
"""Messages for which pydantic's own would not help, or would show what was sent."""


class Problem(BaseModel):
    """What is wrong with a request.

    Attributes:
        row: Number of the row in the request, from 0; ``None`` if it is about the request.
        column: The column; ``None`` if it is about the row, or if the contract has no such column.
    """

    row: int | None
    column: str | None
    problem: str


class InvalidRequestError(ValueError):
    """A request breaks the contract.

    Attributes:
        problems: The first problems.
        total: Number of all of them.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems, self.total = list(problems[:_SHOWN]), len(problems)
        super().__init__(f"The request breaks the contract of the model in {self.total} places.")


class RequestContract:
    """What a request to one model version must look like.

    Attributes:
        columns: The contract of the columns that are taken.
        arrow: The same as an Arrow schema, which is how a partition reaches the model.
    """

    def __init__(self, contract: Contract, most_rows: int) -> None:
        self.row_id = contract.row_id
        self.columns = tuple(rule for rule in contract.columns if rule.feature or rule.name == self.row_id)
        self.arrow: pa.Schema = arrow_schema(self.columns)
        self._names = {rule.name for rule in self.columns}
        fields = {rule.name: _field(rule, contract.excluded) for rule in self.columns}
        # A typed dict and no model: columns such as `glyburide-metformin` are no names of attributes.
        row = _typed_dict(contract.case.capitalize(), fields)
        row.__pydantic_config__ = _STRICT
        rows = conlist(row, min_length=1, max_length=most_rows)
        request = create_model("ScoreRequest", __config__=_STRICT, rows=(rows, ...))
        self._adapter: TypeAdapter[Any] = TypeAdapter(request)

    def parse(self, body: bytes) -> list[Row]:
        """Read the rows of a request.

        Raises:
            InvalidRequestError: If the body breaks the contract.
        """
        try:
            rows = self._rows(body)
        except ValidationError as error:
            errors = error.errors(include_url=False, include_input=False, include_context=False)
            found = [self._problem(item["type"], item["loc"], item["msg"]) for item in errors]
            raise InvalidRequestError(found) from None
        self._refuse_repeated(rows)
        return rows

    def _rows(self, body: bytes) -> list[Row]:
        """Validate; once more if a number such as ``5.0`` was met, which is an integer in a JSON schema."""
        try:
            return list(self._adapter.validate_json(body).rows)
        except ValidationError as error:
            kinds = {item["type"] for item in error.errors(include_url=False, include_input=False)}
            if _NO_INTEGER not in kinds:
                raise
        return list(self._adapter.validate_python(json.loads(body, parse_float=_number)).rows)

    def json_schema(self) -> dict[str, Any]:
        """The schema of a request, its parts referred to as components of an OpenAPI document."""
        return self._adapter.json_schema(ref_template=REF_TEMPLATE)

    def example(self) -> Row:
        """A row that the contract accepts, of nobody."""
        return {rule.name: _example(rule) for rule in self.columns if rule.required}

    def _refuse_repeated(self, rows: Sequence[Row]) -> None:
        seen: set[int] = set()
        repeated = []
        for number, row in enumerate(rows):
            if row[self.row_id] in seen:
                repeated.append(Problem(row=number, column=self.row_id, problem="occurs earlier in the request"))
            seen.add(row[self.row_id])
        if repeated:
            raise InvalidRequestError(repeated)

    def _problem(self, kind: str, location: tuple[int | str, ...], message: str) -> Problem:
        """Say what pydantic found; the name of an unknown field is something that the client sent, too."""
        row = next((part for part in location if isinstance(part, int)), None)
        last = location[-1] if location else None
        column = last if isinstance(last, str) and last in self._names else None
        return Problem(row=row, column=column, problem=_SENTENCES.get(kind, message))


def _field(rule: ColumnRule, excluded: Exclusion | None) -> Any:
    kind: Any
    if rule.values is not None:
        kind = Literal[rule.values]
    elif rule.type is ColumnType.TEXT:
        kind = str
    elif rule.type is ColumnType.NUMBER:
        kind = Annotated[float, Field(ge=rule.minimum, le=rule.maximum, allow_inf_nan=False)]
    else:
        largest = _LARGEST if rule.maximum is None else rule.maximum
        smallest = -_LARGEST if rule.minimum is None else rule.minimum
        kind = Annotated[int, Field(ge=smallest, le=largest)]
    if excluded is not None and rule.name == excluded.column:
        others: dict[str, Any] = {"not": {"enum": sorted(excluded.codes)}}
        kind = Annotated[kind, AfterValidator(partial(_in_scope, excluded)), Field(json_schema_extra=others)]
    return kind if rule.required else NotRequired[kind | None]


def _number(text: str) -> int | float:
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < _LARGEST_EXACT else value


def _in_scope(excluded: Exclusion, code: int) -> int:
    if code in excluded.codes:
        raise PydanticCustomError("out_of_scope", "is {meaning}", {"meaning": excluded.meaning})
    return code


def _example(rule: ColumnRule) -> Any:
    if rule.values is not None:
        return rule.values[0]
    if rule.type is ColumnType.TEXT:
        return "example"
    if rule.minimum is None:
        return 1 if rule.maximum is None else min(1, rule.maximum)
    return rule.minimum
