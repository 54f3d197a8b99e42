"""What the configurations of pipelines have in common: frozen, typed, no default for a number that matters.

The values stand in ``configs/``. A configuration travels as a pipeline parameter, so ZenML records it with
every run. It holds relative locations only; a step resolves them with the run context, so no machine path
gets into a snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, ValidationError

from zenml_airflow.contracts.frozen import Frozen
from zenml_airflow.contracts.problems import describe
from zenml_mlops.yaml_files import YAMLError, read_yaml

GENERIC_PARAMS = frozenset({"date"})
"""Run parameters that any run may carry and that no pipeline configuration reads."""


class ConfigError(ValueError):
    """A configuration or a run-time override is wrong. The message names every problem."""


class Section(Frozen):
    """A part of a configuration: what it does not know is refused."""

    @classmethod
    def checked(cls, values: Mapping[str, Any], place: str) -> Self:
        """Build it from plain data.

        Args:
            place: Where they stand, for the message.

        Raises:
            ConfigError: If they break the schema; all problems at once.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError(f"{place}: {describe(error, 'section')}") from error

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read it from a YAML file.

        Raises:
            ConfigError: If it is no mapping in YAML, or breaks the schema; all problems at once.
        """
        try:
            content = read_yaml(path)
        except YAMLError as error:
            raise ConfigError(f"{path.name} is not valid YAML: {error}") from error
        return cls.checked(content, path.name)


class PipelineConfig(Section):
    """Configuration of a pipeline.

    Attributes:
        use_case: ``module:attribute`` of the use case that the project declares.
    """

    SECTION: ClassVar[str]
    """Name of its part of ``pipelines`` in the settings."""

    OVERRIDES: ClassVar[frozenset[str]] = frozenset()
    """Run parameters that replace a configured value."""

    use_case: str = Field(min_length=1)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Build it from an environment's settings as plain data.

        Raises:
            ConfigError: If they break the schema; all problems at once.
        """
        section = settings["pipelines"].get(cls.SECTION)
        if section is None:
            raise ConfigError(f"pipelines has no section {cls.SECTION!r}: add it in configs/.")
        values = {**section, **cls.shared(settings), "use_case": settings["definition"]}
        return cls.checked(values, f"pipelines.{cls.SECTION} in configs/")

    @classmethod
    def shared(cls, settings: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG003 - for pipelines that share some
        """Values that stand elsewhere in the settings, because others read them too."""
        return {}

    def with_params(self, params: Mapping[str, Any]) -> Self:
        """The configuration with a run's overrides applied.

        Raises:
            ConfigError: If a parameter would have no effect, or its value is not accepted.
        """
        unknown = sorted(set(params) - self.OVERRIDES - GENERIC_PARAMS)
        if unknown:
            raise ConfigError(
                f"The run parameters {unknown} have no effect on this pipeline: it accepts "
                f"{sorted(self.OVERRIDES | GENERIC_PARAMS)}. Everything else is changed in configs/ and deployed."
            )
        chosen = {key: params[key] for key in self.OVERRIDES if params.get(key) is not None}
        return self.checked({**self.model_dump(), **chosen}, f"The run parameters {chosen} are not accepted")
