"""DAG files as Airflow parses and runs them, in processes that were started for an environment."""

import json
import os
import subprocess
import sys

PARSE = """
import json, sys
from pathlib import Path
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
errors = {Path(name).stem: text for name, text in bag.import_errors.items()}
print(json.dumps({"errors": errors, "dags": sorted(bag.dags)}))
"""

DAG_FILE = """
from datetime import datetime, timedelta
from airflow.sdk import DAG
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.sensors.filesystem import FileSensor

def tell(context): ...

with DAG({name!r}, schedule=None, start_date=datetime(2026, 1, 1), {arguments}):
    {task}
"""
GOOD_ARGUMENTS = (
    "tags=['x'], max_active_runs=1, catchup=False, on_failure_callback=tell, default_args={'owner': 'ml-platform'}"
)
GOOD_TASK = "EmptyOperator(task_id='nothing', execution_timeout=timedelta(minutes=1))"
BASH_TASK = (
    "BashOperator(task_id='around', execution_timeout=timedelta(minutes=1),"
    " bash_command='python -m zenml_airflow.entrypoint --code-cache /tmp/x')"
)

SENSOR_TASK = "FileSensor(task_id='there', filepath='/', timeout=60, poke_interval=1, mode='reschedule')"


def dag_file(folder, name, *, arguments=GOOD_ARGUMENTS, task=GOOD_TASK, first=""):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(first + DAG_FILE.format(name=name, arguments=arguments, task=task))
    return folder


def airflow_process(arguments, environment, home, **variables):
    """Run a Python process of an Airflow that was started for an environment; return what it printed."""
    result = subprocess.run(
        [sys.executable, "-W", "ignore", *arguments],
        env={**os.environ, "MLOPS_ENV": environment, "AIRFLOW_HOME": str(home), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def parse(folder, environment):
    """Import errors by file, and the DAGs that Airflow would schedule."""
    output = airflow_process(["-c", PARSE, str(folder)], environment, folder.parent / "airflow")
    return json.loads(output.strip().splitlines()[-1])
