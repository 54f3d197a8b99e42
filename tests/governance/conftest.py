"""A ZenML of its own where the session has none yet; ZenML reads the environment when it is imported."""

from __future__ import annotations

import os
import tempfile

_HOME = tempfile.TemporaryDirectory(prefix="zenml-tests-")
for _name, _value in {
    "ZENML_CONFIG_PATH": f"{_HOME.name}/config",
    "ZENML_LOCAL_STORES_PATH": f"{_HOME.name}/stores",
    "ZENML_ANALYTICS_OPT_IN": "false",
    "ZENML_LOGGING_VERBOSITY": "WARN",
    "ZENML_ENABLE_RICH_TRACEBACK": "false",
    "ZENML_DISABLE_STEP_LOGS_STORAGE": "true",
    "ZENML_DISABLE_PIPELINE_LOGS_STORAGE": "true",
    "AUTO_OPEN_DASHBOARD": "false",
}.items():
    os.environ.setdefault(_name, _value)
