"""Which environment this process was started for.

Read once, when the process starts: Airflow imports this module with its cluster policies, before it parses any DAG
file, and what a DAG file or a task writes into ``os.environ`` afterwards changes nothing here.
"""

from __future__ import annotations

import os

ENVIRONMENT_ENV = "MLOPS_ENV"
DEFAULT_ENVIRONMENT = "local"

STARTED_FOR = os.environ.get(ENVIRONMENT_ENV) or DEFAULT_ENVIRONMENT
"""The environment that the process was started for."""
