"""Become a command that has the deployed code and Airflow's login on the ZenML server.

Airflow keeps the API key encrypted in a connection. Outside of a task it gives connections to its own servers
only, so that is what this says it is while it reads this one.
"""

import os
import sys

CONTEXT = "_AIRFLOW_PROCESS_CONTEXT"


def main() -> None:
    """Become the command that the arguments name."""
    os.environ[CONTEXT] = "server"
    from zenml_airflow.hooks.zenml import ZenMLHook
    from zenml_airflow.settings.project import load_settings

    connection = load_settings(os.environ["MLOPS_ENV"]).airflow.connection
    os.environ.update(ZenMLHook(connection).get_environment())
    del os.environ[CONTEXT]
    os.environ["PYTHONPATH"] = os.environ["MLOPS_PROJECT_ROOT"]
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
