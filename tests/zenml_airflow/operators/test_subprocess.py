"""What the launcher `subprocess` makes of the end of a steps' process.

The interpreter is a shell script: it says of the steps what it is told to, and ends as no Python would on demand.
"""

import json
from datetime import UTC, datetime

import pytest
from labs.manifests import step

pytestmark = [pytest.mark.airflow]

STEPS = (step("load"),)
DONE = json.dumps({"run_id": "0" * 32, "steps": {"load": "completed"}, "metadata": {}})


@pytest.fixture
def state_after(settings, make_dag, airflow_database, tmp_path):
    def play(says, end):
        (tmp_path / "says.json").write_text(says)
        interpreter = tmp_path / "python"
        interpreter.write_text(
            '#!/bin/sh\nwhile [ "$1" != --result ]; do shift; done\n'
            f'[ -s {tmp_path}/says.json ] && cp {tmp_path}/says.json "$2"\n{end}\n'
        )
        interpreter.chmod(0o755)
        dag = make_dag("processes", "subprocess", {"python": str(interpreter)})
        run = dag.test(logical_date=datetime(2026, 1, 5, tzinfo=UTC))
        (task,) = run.get_task_instances()
        return task.state

    return play


@pytest.mark.parametrize("end", ["exit 0", "kill -ABRT $$", "exit 1"])
def test_steps_that_are_done_stand_whatever_their_process_dies_of(state_after, end):
    assert state_after(DONE, end) == "success"


@pytest.mark.parametrize("says", ["", DONE[:20]], ids=["nothing", "half a result"])
@pytest.mark.parametrize("end", ["exit 0", "kill -ABRT $$"])
def test_steps_that_did_not_come_to_their_end_have_failed(state_after, says, end):
    assert state_after(says, end) == "failed"
