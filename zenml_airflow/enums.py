"""Closed vocabularies of the bridge."""

from __future__ import annotations

from enum import StrEnum


class Launcher(StrEnum):
    """Where the code of a step runs."""

    IN_PROCESS = "in_process"
    """In the process that Airflow's worker forked for the task."""


class Granularity(StrEnum):
    """How many Airflow tasks a pipeline becomes."""

    PER_STEP = "per_step"
    """One Airflow task for each step."""
    PIPELINE = "pipeline"
    """One Airflow task for the whole pipeline."""
