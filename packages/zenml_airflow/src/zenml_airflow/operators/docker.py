"""The launcher ``docker``: steps in a container, without root, without the engine's socket."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from airflow.providers.docker.operators.docker import DockerOperator
from docker.types import Mount

from zenml_airflow.contracts.enums import Launcher
from zenml_airflow.manifest.launchers import DockerOptions, LauncherError
from zenml_airflow.manifest.plan import TaskPlan, memory_bytes
from zenml_airflow.operators.processes import server_environment
from zenml_airflow.operators.steps import ZenMLSteps

if TYPE_CHECKING:
    from airflow.sdk import Context
    from docker.api.client import APIClient

CONTAINER_COMMAND = ("python", "-m", "zenml_airflow.runtime.entrypoint", "--code-cache", "/tmp/code")  # noqa: S108
"""What a container runs; only ``/tmp`` can be written there."""

CONTAINER_VARIABLES = {
    "HOME": "/tmp",  # noqa: S108
    "ZENML_CONFIG_PATH": "/tmp/zenml",  # noqa: S108
    "ZENML_ANALYTICS_OPT_IN": "false",
    "PYTHONUNBUFFERED": "1",
}
"""Variables of every container: whatever writes below the home folder does so in memory."""


def image_of(plan: TaskPlan, named: str | None, deployed: str | None) -> str:
    """The image of a task: the step's own, else the launcher's, else the one deployed with the pipeline.

    Raises:
        LauncherError: If none is named.
    """
    image = plan.image or named or deployed
    if image is None:
        raise LauncherError(
            f"Steps {[step.name for step in plan.steps]} have no image: name one in "
            "airflow.launcher_options, or in the step's extra under airflow.image."
        )
    return image


class ZenMLDockerOperator(ZenMLSteps, DockerOperator):
    """Runs steps in a container of a Docker engine.

    Args:
        default_image: Image that was deployed with the pipeline.
    """

    launcher = Launcher.DOCKER
    template_fields: Sequence[str] = (*ZenMLSteps.template_fields, "image")

    def __init__(
        self, *, options: DockerOptions, plan: TaskPlan, default_image: str | None, **kwargs: Any
    ) -> None:
        resources = plan.resources
        if resources.gpu_count:
            raise LauncherError(
                f"Steps {[step.name for step in plan.steps]} ask for a GPU, which launcher 'docker' does not "
                "give: use 'kubernetes'."
            )
        self.host_limits: dict[str, Any] = {
            "read_only": options.read_only,
            "tmpfs": {"/tmp": f"rw,nosuid,nodev,size={options.tmp_size},mode=1777"},  # noqa: S108
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            # The engine's init hands signals on and reaps what steps leave behind.
            "init": True,
        }
        if resources.cpu_count:
            self.host_limits["nano_cpus"] = int(resources.cpu_count * 1e9)
        super().__init__(
            image=image_of(plan, options.image, default_image),
            command=list(CONTAINER_COMMAND),
            docker_url=options.docker_url,
            docker_conn_id=options.docker_conn_id,
            network_mode=options.network_mode,
            user=options.user,
            force_pull=options.pull == "always",
            mem_limit=memory_bytes(resources.memory) if resources.memory else None,
            mounts=[_mount(target, source) for target, source in options.volumes.items()],
            mount_tmp_dir=False,
            auto_remove="force",
            xcom_all=True,
            **kwargs,
        )

    @cached_property
    def cli(self) -> APIClient:
        """The engine's client; containers that it creates are limited as the options say.

        Airflow's operator has no arguments for these limits.
        """
        client = self.hook.api_client
        client.create_host_config = partial(client.create_host_config, **self.host_limits)
        return client

    def execute(self, context: Context) -> dict[str, Any]:  # type: ignore[override]
        """Run the steps in a container and return what ZenML recorded.

        Raises:
            LaunchError: If the container ended without a record.
            AirflowException: If it ended badly.
        """
        request, run_context, _ = self.describe_run(context)
        self.environment = {**CONTAINER_VARIABLES, **self.variables(request, run_context)}
        # Private variables are in no log and no rendered field.
        self._private_environment = server_environment(self.zenml_conn_id)
        return self.finish(context, marked_result(super().execute(context)))


def marked_result(lines: list[str] | str | None) -> dict[str, Any] | None:
    """Find what the entrypoint reported among the lines that a container printed."""
    from zenml_airflow.runtime.entrypoint import RESULT_MARK

    printed = [lines] if isinstance(lines, str) else lines or []
    for line in reversed(printed):
        if line.startswith(RESULT_MARK):
            found: dict[str, Any] = json.loads(line.removeprefix(RESULT_MARK))
            return found
    return None


def _mount(target: str, source: str) -> Mount:
    name, _, mode = source.partition(":")
    kind = "bind" if name.startswith("/") else "volume"
    return Mount(target=target, source=name, type=kind, read_only=mode == "ro")
