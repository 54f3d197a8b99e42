import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
from pydantic import ValidationError

from zenml_airflow.context import (
    CONTEXT_ENV,
    NoRunContextError,
    RunContext,
    cli_context,
    get_run_context,
    run_context,
)


def context(day=date(2026, 1, 5), **changes):
    made = cli_context(day, environment="local", storage_root="/data")
    return made.model_copy(update=changes)


def test_outside_of_a_run_the_error_says_what_to_do():
    with pytest.raises(NoRunContextError, match=r"mlops run"):
        get_run_context()


def test_contexts_nest_and_are_restored():
    outer, inner = context(), context(date(2026, 1, 6))
    with run_context(outer):
        with run_context(inner):
            assert get_run_context() is inner
        assert get_run_context() is outer
    with pytest.raises(NoRunContextError):
        get_run_context()


def test_a_thread_that_a_step_starts_sees_the_context():
    with run_context(context()) as made, ThreadPoolExecutor(1) as pool:
        assert pool.submit(get_run_context).result() is made


def test_the_context_of_the_process_wins_over_an_inherited_one(monkeypatch):
    monkeypatch.setenv(CONTEXT_ENV, context(date(2026, 1, 6)).model_dump_json())
    with run_context(context()) as made:
        assert get_run_context() is made
    assert get_run_context().partition_date == date(2026, 1, 6)


def test_context_is_restored_after_a_failing_step():
    with pytest.raises(ZeroDivisionError), run_context(context()):
        _ = 1 / 0
    with pytest.raises(NoRunContextError):
        get_run_context()


def test_context_is_frozen_and_knows_its_fields():
    with pytest.raises(ValidationError):
        context().environment = "production"
    with pytest.raises(ValidationError):
        RunContext.model_validate({**context().model_dump(), "patient": 1})


def test_context_travels_into_another_process_as_an_environment_variable():
    made = context(params={"estimator": "logistic_regression"})
    code = "from zenml_airflow.context import get_run_context; print(get_run_context().model_dump_json())"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={CONTEXT_ENV: made.model_dump_json(), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert RunContext.model_validate(json.loads(result.stdout)) == made


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 1, 1), 24),
        ("Europe/Berlin", date(2026, 3, 28), 24),
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("America/Santiago", date(2026, 9, 6), 23),  # has no midnight: the day begins at 01:00
        ("UTC", date(2026, 3, 29), 24),
    ],
)
def test_a_day_is_the_local_day_when_the_clocks_change(zone, day, hours):
    made = cli_context(day, environment="local", storage_root="/data", timezone=zone)
    start, end = made.data_interval_start.astimezone(UTC), made.data_interval_end.astimezone(UTC)
    assert made.partition_date == day
    assert end - start == timedelta(hours=hours)
    # Over JSON the offset stays, so that another process sees the same day.
    assert RunContext.model_validate_json(made.model_dump_json()).partition_date == day


def test_naive_datetimes_are_refused():
    with pytest.raises(ValidationError):
        RunContext.model_validate({**context().model_dump(), "logical_date": datetime(2026, 1, 5)})


@pytest.mark.parametrize(
    "other",
    [
        {"dag_id": "another"},
        {"dag_run_id": "another"},
        {"attempt": 1},
        {"attempt_started_at": datetime(2026, 1, 1, tzinfo=UTC)},
    ],
)
def test_identity_differs_by_dag_run_and_attempt(other):
    made = context()
    assert made.orchestrator_run_id != made.model_copy(update=other).orchestrator_run_id


def test_a_retry_keeps_the_identity():
    made = context()
    assert made.orchestrator_run_id == made.model_copy(update={"try_number": 2}).orchestrator_run_id


@pytest.mark.parametrize(
    ("location", "resolved"),
    [("raw/x.csv", "/data/raw/x.csv"), ("/else/x", "/else/x"), ("s3://bucket/x", "s3://bucket/x")],
)
def test_locations_resolve_against_the_storage_root(location, resolved):
    assert context().resolve(location) == resolved
