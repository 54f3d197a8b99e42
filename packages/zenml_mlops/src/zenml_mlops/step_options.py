"""What Airflow is told of the steps of the platform: attempts, and seconds until one is given up."""

from __future__ import annotations

from typing import Any, Final

IO: Final[dict[str, Any]] = {"airflow": {"retries": 2, "timeout_seconds": 900}}
"""Reads or writes something small; another attempt may help."""

STREAM: Final[dict[str, Any]] = {"airflow": {"retries": 2, "timeout_seconds": 3600}}
"""Goes through all rows of a day."""

COMPUTE: Final[dict[str, Any]] = {"airflow": {"retries": 1, "timeout_seconds": 1800}}
"""Works in memory for minutes."""

DETERMINISTIC: Final[dict[str, Any]] = {"airflow": {"retries": 0, "timeout_seconds": 900}}
"""Fails again with the same input."""
