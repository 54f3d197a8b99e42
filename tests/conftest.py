"""Every test works on stores below a temporary folder, whatever the developer's own environment says."""

import os
import shutil
import tempfile
from pathlib import Path

_SESSION = Path(tempfile.mkdtemp(prefix="mlops-tests-"))

# ZenML and Airflow read these on import, so they are set before any test module is.
os.environ.update(
    {
        "AIRFLOW_HOME": str(_SESSION / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_SESSION / 'airflow' / 'airflow.db'}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLOPS_STATE_DIR": str(_SESSION / "state"),
        "ZENML_ANALYTICS_OPT_IN": "false",
        "ZENML_CONFIG_PATH": str(_SESSION / "zenml"),
        "ZENML_ENABLE_RICH_TRACEBACK": "false",
        "ZENML_LOCAL_STORES_PATH": str(_SESSION / "zenml" / "local_stores"),
        "ZENML_LOGGING_VERBOSITY": "WARN",
    }
)
for _name in ("MLOPS_ENV", "MLOPS_PROJECT_ROOT", "MLOPS_AIRFLOW_PORT", "MLOPS_MLFLOW_PORT"):
    os.environ.pop(_name, None)


def pytest_sessionfinish() -> None:
    shutil.rmtree(_SESSION, ignore_errors=True)
