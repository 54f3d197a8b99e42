"""Closed vocabularies of the bridge."""

from __future__ import annotations

from enum import StrEnum


class Launcher(StrEnum):
    """Where the code of a step runs."""

    IN_PROCESS = "in_process"
    """In the process that Airflow's worker forked for the task."""
    SUBPROCESS = "subprocess"
    """In another interpreter or virtual environment on the worker's machine."""
    DOCKER = "docker"
    """In a container of a Docker engine."""
    KUBERNETES = "kubernetes"
    """In a pod of a Kubernetes cluster."""

    @property
    def needs_image(self) -> bool:
        """Whether it runs steps in a container, and so gives each task the resources that its step asks for."""
        return self in {Launcher.DOCKER, Launcher.KUBERNETES}


class Granularity(StrEnum):
    """How many Airflow tasks a pipeline becomes."""

    PER_STEP = "per_step"
    """One Airflow task for each step."""
    GROUPED = "grouped"
    """Steps share a task until their image, their resources or a gate demand a cut."""
    PIPELINE = "pipeline"
    """One Airflow task for the whole pipeline."""
