"""DAG files as Airflow parses and runs them, in processes that were started for an environment."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

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
    " bash_command='python -m zenml_airflow.runtime.entrypoint --code-cache /tmp/x')"
)

SENSOR_TASK = "FileSensor(task_id='there', filepath='/', timeout=60, poke_interval=1, mode='reschedule')"
MAPPED_SENSOR = "FileSensor.partial(task_id='there', poke_interval=1).expand(filepath=['/'])"


def dag_file(folder, name, *, arguments=GOOD_ARGUMENTS, task=GOOD_TASK, first=""):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(first + DAG_FILE.format(name=name, arguments=arguments, task=task))
    return folder


def _variables(environment, home, variables):
    return {**os.environ, "MLOPS_ENV": environment, "AIRFLOW_HOME": str(home), **variables}


def airflow_process(arguments, environment, home, **variables):
    """Run a Python process of an Airflow that was started for an environment; return what it printed."""
    result = subprocess.run(
        [sys.executable, "-W", "ignore", *arguments],
        env=_variables(environment, home, variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@contextmanager
def airflow_service(arguments, environment, home, **variables):
    """A service of an Airflow that was started for an environment; nothing of it outlives the block."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "airflow", *arguments],
        env=_variables(environment, home, variables),
        stdout=(home / "service.log").open("w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until(probe, seconds):
    """What ``probe`` answers once its first part is true, or after some seconds."""
    deadline = time.monotonic() + seconds
    while not (answer := probe())[0] and time.monotonic() < deadline:
        time.sleep(0.5)
    return answer


def parse(folder, environment):
    """Import errors by file, and the DAGs that Airflow would schedule."""
    output = airflow_process(["-c", PARSE, str(folder)], environment, folder.parent / "airflow")
    return json.loads(output.strip().splitlines()[-1])
