"""Which open ZenML runs are closed, asked of a real ZenML store."""

from datetime import date

import pytest
from zenml import pipeline, step
from zenml.client import Client

from zenml_airflow.context import cli_context
from zenml_airflow.runtime.reconcile import AirflowState, reconcile
from zenml_airflow.runtime.records import RunHistory, create_run, latest_steps, skip_step


@step
def alone() -> None:
    pass


@pipeline
def lonely() -> None:
    alone()


@pytest.fixture(scope="module")
def snapshot():
    Client().activate_stack("default")
    return lonely.create_snapshot(name="reconciled")


def open_run(snapshot, dag_id, attempt=0):
    made = cli_context(date(2026, 1, 5), environment="local", storage_root="/data")
    context = made.model_copy(update={"dag_id": dag_id, "dag_run_id": "day", "attempt": attempt})
    return create_run(RunHistory.load(context, "group"), snapshot)


def close(**states):
    closed = reconcile(lambda dag_id, _: states.get(dag_id, AirflowState.ACTIVE))
    return {one.run_id: (one.was, one.now, one.reason) for one in closed}


def test_runs_are_closed_when_airflows_have_ended_and_only_then(snapshot):
    active, failed, gone = (open_run(snapshot, name) for name in ("active", "failed", "gone"))
    found = close(failed=AirflowState.FAILED, gone=AirflowState.GONE)
    assert found[str(failed.id)] == ("running", "stopped", "Airflow's run 'day' of 'failed' has ended: failed")
    assert found[str(gone.id)] == ("running", "stopped", "Airflow no longer has run 'day' of 'gone'")
    assert str(active.id) not in found
    assert close(failed=AirflowState.FAILED, gone=AirflowState.GONE) == {}


def test_a_step_that_was_left_out_completes_no_other_attempt(snapshot):
    first = open_run(snapshot, "partial")
    skip_step(first, "alone")
    second = open_run(snapshot, "partial", attempt=1)
    found = close(partial=AirflowState.SUCCESS)
    assert found[str(second.id)][:2] == ("running", "stopped")
    assert latest_steps(second.id) == {}
