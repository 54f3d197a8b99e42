"""Start MLflow with a login; the accounts lie in the same database server as the experiments.

MLflow takes the first administrator from a file alone: it is written to memory, where only this user reads it.
"""

import configparser
import os
from pathlib import Path

REQUIRED = ("MLFLOW_BACKEND_STORE_URI", "MLFLOW_AUTH_DATABASE_URI", "MLFLOW_ADMIN_PASSWORD")


def main() -> None:
    """Write the file and become the server."""
    missing = [name for name in REQUIRED if not os.environ.get(name)]
    if missing:
        raise SystemExit(f"The MLflow server needs {', '.join(missing)}: set them in the environment.")
    path = Path("/tmp/basic_auth.ini")
    config = configparser.ConfigParser(interpolation=None)
    config["mlflow"] = {
        "default_permission": "EDIT",
        "database_uri": os.environ.pop("MLFLOW_AUTH_DATABASE_URI"),
        "admin_username": os.environ.get("MLFLOW_ADMIN_USERNAME", "admin"),
        "admin_password": os.environ.pop("MLFLOW_ADMIN_PASSWORD"),
        "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
    }
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
        config.write(handle)
    os.environ["MLFLOW_AUTH_CONFIG_PATH"] = str(path)
    server = ["mlflow", "server", "--app-name", "basic-auth", "--host", "0.0.0.0", "--port", "5000"]
    artifacts = ["--serve-artifacts", "--artifacts-destination", "/var/lib/mlflow/artifacts"]
    hosts = ["--allowed-hosts", os.environ.get("MLFLOW_ALLOWED_HOSTS", "localhost:*,127.0.0.1:*,mlflow:*")]
    os.execvp(server[0], [*server, *artifacts, *hosts, "--workers", "1"])


if __name__ == "__main__":
    main()
