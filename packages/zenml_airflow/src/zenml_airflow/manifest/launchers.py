"""What each launcher may be told, in ``configs/`` or in a DAG file, and the refusal of everything else.

An option of another launcher would be accepted and then do nothing: it is refused instead. This module imports
neither Airflow nor ZenML.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, field_validator

from zenml_airflow.contracts.enums import Launcher
from zenml_airflow.contracts.frozen import Deferred
from zenml_airflow.contracts.problems import describe

DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


def check_digest(image: str) -> str:
    """Check that an image is named by digest, and return it.

    Raises:
        ValueError: If it is not: a tag may name another image tomorrow, and a clear would run other code.
    """
    if not DIGEST.search(image):
        raise ValueError(f"image {image!r} is not named by digest: write it as NAME@sha256:…")
    return image


ByDigest = Annotated[str, AfterValidator(check_digest)]
"""Name of an image with its digest."""


class LauncherError(ValueError):
    """A launcher is told something that it cannot do."""


class InProcessOptions(Deferred):
    """The worker's own process takes no options."""


class SubprocessOptions(Deferred):
    """Options of the launcher ``subprocess``.

    Attributes:
        python: Interpreter, or folder of a virtual environment; the worker's own interpreter by default.
        stop_grace_seconds: Wait between SIGTERM and SIGKILL. Airflow kills the task itself 5 s after it asked it
            to stop, so more has no effect.
    """

    python: str | None = None
    stop_grace_seconds: float = Field(default=4.0, gt=0, le=4.5)


class DockerOptions(Deferred):
    """Options of the launcher ``docker``.

    Attributes:
        docker_url: Address of the engine; the worker's ``DOCKER_HOST`` by default.
        user: User and group that the steps run as; never root.
        read_only: Whether the container's root file system is read-only; ``/tmp`` is memory then.
        volumes: Named volumes or folders by path in the container, such as ``{"/data": "landing:ro"}``.
    """

    image: str | None = None
    docker_conn_id: str | None = None
    docker_url: str | None = None
    network_mode: str = "bridge"
    user: str = "1000:1000"
    read_only: bool = True
    tmp_size: str = Field(default="1g", pattern=r"^\d+[bkmg]$")
    volumes: dict[str, str] = Field(default_factory=dict)
    pull: Literal["always", "missing"] = "missing"

    @field_validator("user")
    @classmethod
    def _not_root(cls, value: str) -> str:
        if value.split(":", 1)[0] in {"0", "root", ""}:
            raise ValueError("steps do not run as root: name another user, such as 1000:1000")
        return value

    @field_validator("volumes")
    @classmethod
    def _no_engine_socket(cls, value: dict[str, str]) -> dict[str, str]:
        for target, source in value.items():
            if "docker.sock" in source or "docker.sock" in target:
                raise ValueError("a step never gets the engine's socket: it would own the machine")
        return value


class KubernetesOptions(Deferred):
    """Options of the launcher ``kubernetes``.

    Attributes:
        image: Image of steps that name none, by digest.
        kubernetes_conn_id: Airflow connection of the cluster; the worker's own cluster by default.
        tolerations: Taints that the pods tolerate, as in a pod specification.
        pod_template: Pod template file, relative to the project root; what stands here wins over it.
        credentials_secret: Kubernetes secret whose keys become variables of the pod: the ZenML server's URL and
            key, and what the artifact store needs. A value in the pod itself could be read by everyone who may
            read pods.
        deferrable: Whether the triggerer waits for the pod instead of a worker.
    """

    image: ByDigest | None = None
    namespace: str = "default"
    service_account: str | None = None
    kubernetes_conn_id: str | None = None
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: tuple[dict[str, Any], ...] = ()
    labels: dict[str, str] = Field(default_factory=dict)
    pod_template: str | None = None
    image_pull_secrets: tuple[str, ...] = ()
    credentials_secret: str | None = None
    run_as_user: int = Field(default=1000, gt=0)
    deferrable: bool = True
    startup_timeout_seconds: int = Field(default=600, gt=0)


LauncherOptions = InProcessOptions | SubprocessOptions | DockerOptions | KubernetesOptions

OPTIONS: Mapping[Launcher, type[LauncherOptions]] = {
    Launcher.IN_PROCESS: InProcessOptions,
    Launcher.SUBPROCESS: SubprocessOptions,
    Launcher.DOCKER: DockerOptions,
    Launcher.KUBERNETES: KubernetesOptions,
}


def parse_options(launcher: Launcher, values: Mapping[str, Any]) -> LauncherOptions:
    """Read the options of a launcher.

    Raises:
        LauncherError: If an option is unknown, wrong, or belongs to another launcher; all of them at once.
    """
    fields = OPTIONS[launcher].model_fields
    problems = []
    for name in sorted(set(values) - set(fields)):
        owners = [other.value for other, model in OPTIONS.items() if name in model.model_fields]
        known = f"options are {sorted(fields)}" if fields else "it takes no options"
        hint = f"it is an option of {' and '.join(owners)}" if owners else known
        problems.append(f"{name!r} has no effect with launcher {launcher.value!r} ({hint})")
    try:
        options = OPTIONS[launcher].model_validate({key: values[key] for key in values if key in fields})
    except ValidationError as error:
        problems.append(describe(error, "options"))
    if problems:
        raise LauncherError(f"Launcher options: {'; '.join(problems)}.")
    return options
