"""Every test works on stores below a temporary folder, whatever the developer's own environment says."""

import os
import shutil
import tempfile
from pathlib import Path

_SESSION = Path(tempfile.mkdtemp(prefix="mlops-tests-"))

# A store URL, a tracking URI or an active stack of the developer's would win over the folders below.
for _name in list(os.environ):
    if _name.startswith(("AIRFLOW", "MLFLOW_", "MLOPS_", "ZENML_")):
        del os.environ[_name]

# ZenML and Airflow read these on import, so they are set before any test module is.
os.environ.update(
    {
        "AIRFLOW_HOME": str(_SESSION / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_SESSION / 'airflow' / 'airflow.db'}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLOPS_STATE_DIR": str(_SESSION / "state"),
        "AUTO_OPEN_DASHBOARD": "false",
        "ZENML_ANALYTICS_OPT_IN": "false",
        "ZENML_CONFIG_PATH": str(_SESSION / "zenml"),
        "ZENML_DISABLE_PIPELINE_LOGS_STORAGE": "true",
        "ZENML_DISABLE_STEP_LOGS_STORAGE": "true",
        "ZENML_ENABLE_RICH_TRACEBACK": "false",
        "ZENML_LOCAL_STORES_PATH": str(_SESSION / "zenml" / "local_stores"),
        "ZENML_LOGGING_VERBOSITY": "WARN",
    }
)


def pytest_sessionfinish() -> None:
    shutil.rmtree(_SESSION, ignore_errors=True)
