"""The parts of the page without Airflow's API server, and how much a thousand versions cost."""

import threading
import time
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from models_lab import describe, gates

from benchmarks.models_page import insert_versions
from zenml_airflow.client.api import read_local
from zenml_airflow.client.cached import BackgroundCache
from zenml_airflow.client.registry import read_registry
from zenml_airflow.models_page.runs import DayState
from zenml_airflow.promotion.subject import ApprovalSubject
from zenml_airflow.run_date import due_days
from zenml_airflow.settings.project import ScheduleSettings, SettingsError, load_settings

UTC_ZONE = ZoneInfo("UTC")


@pytest.mark.parametrize(
    ("states", "day"),
    [
        ([], DayState.MISSING),
        (["success"], DayState.SCORED),
        (["failed"], DayState.FAILED),
        (["failed", "failed"], DayState.FAILED),
        (["success", "failed"], DayState.SCORED),
        (["failed", "queued"], DayState.RUNNING),
        (["running"], DayState.RUNNING),
    ],
)
def test_the_runs_of_a_day_make_its_state(states, day):
    assert DayState.of(states) is day


@pytest.mark.parametrize(
    ("zone", "end", "days"),
    [
        ("UTC", None, ["2026-01-08", "2026-01-09", "2026-01-10"]),
        # Half an hour before midnight in UTC it is the next day in Berlin already.
        ("Europe/Berlin", None, ["2026-01-09", "2026-01-10", "2026-01-11"]),
        ("UTC", date(2026, 1, 7), ["2026-01-05", "2026-01-06", "2026-01-07"]),
        ("UTC", date(2026, 1, 2), ["2026-01-01", "2026-01-02"]),
    ],
)
def test_the_days_are_those_that_are_over_and_scheduled(zone, end, days):
    schedule = ScheduleSettings(cron="0 0 * * *", start_date=date(2026, 1, 1), end_date=end)
    now = datetime(2026, 1, 11, 23, 30, tzinfo=UTC)
    assert [str(day) for day in due_days(schedule, ZoneInfo(zone), now, 3)] == days


def test_before_the_first_day_there_is_none():
    schedule = ScheduleSettings(cron="0 0 * * *", start_date=date(2026, 2, 1))
    assert due_days(schedule, UTC_ZONE, datetime(2026, 2, 1, 12, tzinfo=UTC), 3) == []


def test_an_approval_subject_reads_as_it_is_written():
    asked = ApprovalSubject("a version 1 to b", 12, "production")
    assert ApprovalSubject.parse(str(asked)) == asked
    assert ApprovalSubject.parse("Permission the cake be cut?") is None


def test_a_page_of_something_that_is_never_due_is_refused(tmp_path, monkeypatch, configured):
    configured(page={"partitions": ["serving"]})
    with pytest.raises(SettingsError, match=r"names \['serving'\], which have no schedule"):
        load_settings()


def test_many_who_ask_at_once_share_a_reading_and_nobody_waits_for_one_that_hangs():
    begun, go = [], threading.Event()

    def read():
        begun.append(1)
        assert go.wait(20)
        return len(begun)

    cache = BackgroundCache(read, fresh_seconds=0)
    started = time.monotonic()
    values = [cache.get(0.05) for _ in range(5)]
    assert time.monotonic() - started < 10
    assert len(begun) == 1
    assert {(cached.value, cached.error, cached.pending) for cached in values} == {(None, None, True)}
    go.set()
    cached = cache.get(20)
    assert (cached.value, cached.pending) == (1, False)


def test_a_failure_keeps_the_last_value_and_is_not_repeated_at_once():
    answers = iter([1, RuntimeError("gone"), 2])
    count = []

    def read():
        count.append(1)
        if isinstance(answer := next(answers), Exception):
            raise answer
        return answer

    cache = BackgroundCache(read, fresh_seconds=0)
    assert cache.get(20).value == 1
    cache._fresh_seconds = 1000
    cache._ended = float("-inf")
    for _ in range(3):
        cached = cache.get(20)
        assert (cached.value, str(cached.error)) == (1, "gone")
    assert len(count) == 2
    cache._ended = float("-inf")
    assert cache.get(20).error is None
    assert cache.get(20).value == 2


def cost(wanted):
    """The registry, the queries to ZenML and the SQL statements that it took."""
    from sqlalchemy import event
    from zenml.client import Client

    engine, statements, queries = Client().zen_store.engine, [], []

    def seen(_conn, _cursor, statement, *_):
        statements.append(statement)

    def read(query):
        queries.append(query)
        return read_local(query)

    event.listen(engine, "before_cursor_execute", seen)
    try:
        found = read_registry(read, [wanted], 3)
    finally:
        event.remove(engine, "before_cursor_execute", seen)
    return found, queries, len(statements)


def test_a_thousand_versions_cost_as_many_queries_as_three():
    model = "plugin_lab_crowd"
    insert_versions(model, 3)
    describe(model, 1, "production", gates=gates(skill=True))
    describe(model, 2, "staging", gates=gates(skill=True))
    cost(model)
    _, few_queries, few = cost(model)
    insert_versions(model, 1000)
    found, queries, many = cost(model)
    (shown,) = [one for one in found.models if one.name == model]
    assert shown.newest.number == 1003
    assert {stage.value: version.number for stage, version in shown.stages.items()} == {
        "production": 1,
        "staging": 2,
    }
    assert len(queries) == len(few_queries) <= 4
    assert many == few
    # No answer holds more versions than the page shows, whatever their number.
    assert max(query.filters["size"] for query in queries) <= 20


def test_a_configured_model_is_read_beyond_the_limit():
    for number in range(5):
        insert_versions(f"plugin_lab_other_{number}", 1)
    insert_versions("plugin_lab_old", 1)
    for number in range(5):
        insert_versions(f"plugin_lab_other_{number}", 1)
    found = read_registry(read_local, ["plugin_lab_old"], 2)
    assert found.more
    assert found.models[0].name == "plugin_lab_old"
    assert len(found.models) == 3
