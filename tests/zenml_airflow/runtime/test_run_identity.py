"""Which ZenML runs belong to a DAG run, asked of a real ZenML store."""

from datetime import date

import pytest
from zenml import pipeline, step
from zenml.client import Client

from zenml_airflow.context import cli_context
from zenml_airflow.runtime.records import RunHistory, RunKey, create_run


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
    return create_run(RunHistory.load(context, group), snapshot)


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
    found = RunHistory.load(second, "scoring")
    assert found.current.id == again.id
    assert [run.id for run in found.earlier] == [strangers[2].id, made.id]
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


def test_a_stopped_run_goes_on_in_a_next_part(snapshot):
    context = of("continued")
    first = create(snapshot, context)
    second = create(snapshot, context)
    assert second.name == first.name.replace("/scoring", ".1/scoring")
    assert second.original_run.id == first.id
    assert RunHistory.load(context, "scoring").current.id == second.id


@pytest.mark.parametrize("part", [0, 1, 12])
def test_a_run_key_is_read_back(part):
    context = of("readmission.daily", dag_run_id="scheduled__2026-01-05T00:00:00+00:00")
    key = RunKey(context.orchestrator_run_id, "outer.inner", part)
    again = RunKey.parse(str(key))
    assert (again.attempt, again.group_id, again.part) == (context.orchestrator_run_id, "outer.inner", part)


def test_keys_of_other_tools_are_none():
    assert RunKey.parse(None) is None
    assert RunKey.parse("scheduled__2026-01-05T00:00:00+00:00") is None
