"""What a project declares of its use case, by names: nothing heavy is imported before it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zenml_mlops.data.contract import Contract
from zenml_mlops.data.table_spec import TableSpec

if TYPE_CHECKING:
    import pandas as pd
    from zenml.pipelines.pipeline_definition import Pipeline

    from zenml_mlops.configuration import PipelineConfig
    from zenml_mlops.data.source import Source


class UnknownPipelineError(KeyError):
    """No pipeline has that name."""

    def __str__(self) -> str:
        return str(self.args[0])


class NoUseCaseError(ValueError):
    """What is named as the use case is none."""


@dataclass(frozen=True)
class PipelineSpec:
    """A pipeline and what configures it.

    Attributes:
        name: Name of the pipeline, the same in ZenML, in ``configs/`` and on the command line.
        pipeline: ``module:attribute`` of the pipeline function, which takes ``config`` and ``provenance``.
        config: ``module:attribute`` of its :class:`~zenml_mlops.configuration.PipelineConfig`.
    """

    name: str
    pipeline: str
    config: str

    def load(self) -> Pipeline:
        """Import the pipeline."""
        return imported(self.pipeline)  # type: ignore[no-any-return]

    @property
    def config_class(self) -> type[PipelineConfig]:
        """The class of the pipeline's ``config`` parameter."""
        return imported(self.config)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Grouping:
    """Columns with more codes than a model or a day can hold, and how they are grouped.

    Attributes:
        columns: Their names; the feature of a column is called ``<column>_group``.
        group: From n codes, missing ones included, to n names of groups.
    """

    columns: tuple[str, ...] = ()
    group: Callable[[pd.Series], pd.Series] | None = None

    def feature(self, column: str) -> str:
        """Name of the feature that is made of a column."""
        return f"{column}_group" if column in self.columns else column

    def apply(self, column: str, values: pd.Series) -> pd.Series:
        """The values of a column as they are counted."""
        return self.group(values) if self.group is not None and column in self.columns else values


@dataclass(frozen=True)
class UseCase:
    """A use case. The settings name it, as ``definition``; every pipeline's configuration carries that name.

    Attributes:
        table: The table of its labelled rows.
        source: ``module:attribute`` of their :class:`~zenml_mlops.data.source.Source`, where a table is not all.
        grouping: ``module:attribute`` of its :class:`Grouping`, if some columns are grouped.
    """

    contract: Contract
    pipelines: tuple[PipelineSpec, ...]
    table: TableSpec
    source: str | None = None
    grouping: str | None = None

    def load_source(self) -> Source:
        """Import the source of the labelled rows."""
        if self.source is not None:
            return imported(self.source)  # type: ignore[no-any-return]
        from zenml_mlops.data.tables import table_source

        return table_source(self.contract, self.table)

    @property
    def source_file(self) -> str:
        """Name of the file of labelled rows, in the folder of the fetched files."""
        return self.table.file

    def load_grouping(self) -> Grouping:
        """Import the grouping."""
        return Grouping() if self.grouping is None else imported(self.grouping)


def load_use_case(definition: str) -> UseCase:
    """Import a use case.

    Args:
        definition: ``module:attribute``, as in ``configs/``.

    Raises:
        NoUseCaseError: If there is none of that name.
    """
    try:
        found = imported(definition)
    except (ImportError, AttributeError, ValueError) as error:
        raise NoUseCaseError(
            f"The use case {definition!r} (`definition` in configs/) was not found: {error}"
        ) from error
    if not isinstance(found, UseCase):
        raise NoUseCaseError(f"{definition!r} (`definition` in configs/) is a {type(found).__name__}, no UseCase.")
    return found


def imported(target: str) -> Any:
    """What ``module:attribute`` names."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
