"""ZenML's own step entrypoint, told that it does not stand in a container."""

from __future__ import annotations

from zenml.entrypoints.step_entrypoint_configuration import StepEntrypointConfiguration
from zenml.utils import source_utils

from zenml_airflow.settings.project import project_root


class HostStepEntrypoint(StepEntrypointConfiguration):
    """Runs one step of a snapshot from the checkout."""

    def prepare_code_environment(self) -> None:
        """Take the code from the checkout; the original would create and enter ``/app``, a container's folder."""
        source_utils.set_custom_source_root(str(project_root()))
