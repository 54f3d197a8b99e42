"""Which ZenML runs belong to a DAG run, asked of a real ZenML store."""

from datetime import date

import pytest
from zenml import pipeline, step
from zenml.client import Client

from zenml_airflow.context import cli_context
from zenml_airflow.runner import _create_run, _runs_of_dag_run


@step
def nothing() -> None:
    pass


@pipeline
def idle() -> None:
    nothing()


@pytest.fixture(scope="module")
def snapshot():
    Client().activate_stack("default")
    return idle.create_snapshot(name="identity")


def of(dag_id, attempt=0, dag_run_id="scheduled__2026-01-05"):
    made = cli_context(date(2026, 1, 5), environment="local", storage_root="/data")
    return made.model_copy(update={"dag_id": dag_id, "dag_run_id": dag_run_id, "attempt": attempt})


def create(snapshot, context, group="scoring"):
    key = f"{context.orchestrator_run_id}/{group}"
    return _create_run(snapshot, context, key, _runs_of_dag_run(context, group))


def test_attempts_of_one_dag_run_and_nothing_else_are_found(snapshot):
    first, second = of("daily_scoring"), of("daily_scoring", attempt=1)
    made = create(snapshot, first)
    again = create(snapshot, second)
    # An underscore is a wildcard in the search: these ids differ from the first in that place alone.
    strangers = [
        create(snapshot, of("dailyXscoring")),
        create(snapshot, of("daily_scoring", dag_run_id="scheduledXX2026-01-05")),
        create(snapshot, first, group="monitoring"),
    ]
    found = _runs_of_dag_run(second, "scoring")
    assert [run.id for run in found] == [again.id, made.id]
    assert again.original_run.id == made.id
    assert [run.original_run for run in strangers] == [None, None, None]


def test_a_dag_run_that_was_deleted_and_made_again_is_a_new_run(snapshot):
    first = of("recreated")
    later = first.model_copy(
        update={
            "attempt_started_at": cli_context(
                date(2026, 1, 5), environment="local", storage_root="/data"
            ).attempt_started_at
        }
    )
    assert create(snapshot, first).id != create(snapshot, later).id
