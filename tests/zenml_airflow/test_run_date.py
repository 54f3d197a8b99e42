"""Which day a run is for, from Airflow's own timetable and its own description of a DAG run."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from functools import cache
from types import SimpleNamespace

import pendulum
import pytest
from airflow.configuration import conf
from airflow.sdk.api.datamodels._generated import (
    AssetEventDagRunReference,
    AssetReferenceAssetEventDagRun,
    DagRun,
)
from airflow.timetables.base import TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable

from zenml_airflow.run_date import RunDateError, context_from_airflow
from zenml_airflow.sensors.partition import FileTrigger
from zenml_airflow.sensors.triggers import DEFERRED_SECONDS
from zenml_airflow.settings.project import load_settings

local_settings = cache(load_settings)


def dag_run(logical, start=None, end=None, *, run_after=None, events=()):
    return DagRun(
        dag_id="daily",
        run_id="scheduled__x",
        logical_date=logical,
        data_interval_start=start,
        data_interval_end=end,
        run_after=run_after or end or logical,
        start_date=datetime(2026, 6, 1, tzinfo=UTC),
        end_date=None,
        clear_number=2,
        run_type="scheduled",
        state="running",
        consumed_asset_events=[
            AssetEventDagRunReference(
                asset=AssetReferenceAssetEventDagRun(name="predictions", uri="predictions", extra={}),
                extra=extra,
                source_task_id="publish",
                source_dag_id="scoring",
                source_run_id="scheduled__y",
                source_map_index=-1,
                source_aliases=[],
                timestamp=datetime(2026, 6, 1, tzinfo=UTC),
            )
            for extra in events
        ],
        partition_key=None,
    )


def context(run, zone="UTC", params=None):
    settings = local_settings("local").model_copy(update={"timezone": zone})
    return context_from_airflow(
        {"dag_run": run, "params": params or {}, "ti": SimpleNamespace(try_number=1)}, settings
    )


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
def test_the_run_of_a_day_is_for_that_day_all_year_round(zone):
    timetable = CronDataIntervalTimetable("0 0 * * *", timezone=zone)
    restriction = TimeRestriction(pendulum.datetime(2026, 1, 1, tz=zone), None, True)
    last, expected = None, date(2026, 1, 1)
    for _ in range(365):
        info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        last = info.data_interval
        made = context(dag_run(info.logical_date, last.start, last.end), zone)
        assert made.partition_date == expected
        assert made.data_interval_end.date() == expected + timedelta(days=1)
        expected += timedelta(days=1)


def test_a_run_without_a_logical_date_is_for_the_day_it_was_due():
    run = dag_run(None, run_after=datetime(2026, 1, 5, 23, 30, tzinfo=UTC))
    assert context(run).partition_date == date(2026, 1, 5)
    assert context(run, "Europe/Berlin").partition_date == date(2026, 1, 6)


def test_a_run_without_a_logical_date_is_for_the_day_that_its_param_names():
    run = dag_run(None, run_after=datetime(2026, 1, 5, tzinfo=UTC))
    assert context(run, params={"date": "2026-02-01"}).partition_date == date(2026, 2, 1)
    with pytest.raises(RunDateError, match="2026-01-05"):
        context(run, params={"date": "yesterday"})


def test_a_run_that_updates_of_assets_started_covers_their_days():
    late = datetime(2026, 3, 1, tzinfo=UTC)
    days = [{"partition_date": f"2026-01-{day:02}"} for day in (7, 5, 7)]
    made = context(dag_run(None, run_after=late, events=days))
    assert made.partition_date == date(2026, 1, 7)
    assert made.partition_dates == (date(2026, 1, 5), date(2026, 1, 7))
    # By hand it is for the day that was named, and another producer's update names none.
    named = context(dag_run(None, run_after=late, events=days), params={"date": "2026-02-01"})
    assert named.partition_dates == (date(2026, 2, 1),)
    foreign = context(dag_run(None, run_after=late, events=[{"partition_date": "soon"}, {}, {"rows": 3}]))
    assert foreign.partition_dates == (date(2026, 3, 1),)


def test_the_attempt_comes_from_airflow():
    made = context(dag_run(datetime(2026, 1, 5, tzinfo=UTC)))
    assert (made.attempt, made.attempt_started_at) == (2, datetime(2026, 6, 1, tzinfo=UTC))


def test_the_trigger_fires_when_the_marker_appears_and_leaves_the_loop_free(tmp_path, monkeypatch):
    monkeypatch.setattr("zenml_airflow.sensors.triggers.DEFERRED_SECONDS", 0)
    marker = tmp_path / "_SUCCESS"

    async def scenario():
        ticks = 0
        waiting = asyncio.ensure_future(anext(FileTrigger(str(marker), 0.05).run()))
        for _ in range(20):
            await asyncio.sleep(0.01)
            ticks += 1
        assert not waiting.done()
        marker.touch()
        event = await asyncio.wait_for(waiting, 5)
        return ticks, event.payload

    ticks, payload = asyncio.run(scenario())
    assert ticks == 20
    assert payload == {"status": "found"}


def test_no_task_resumes_before_the_end_of_the_process_that_deferred_is_known(tmp_path, monkeypatch):
    (tmp_path / "_SUCCESS").touch()
    assert conf.getint("workers", "min_heartbeat_interval") < DEFERRED_SECONDS
    monkeypatch.setattr("zenml_airflow.sensors.triggers.DEFERRED_SECONDS", 0.5)

    async def scenario():
        waiting = asyncio.ensure_future(anext(FileTrigger(str(tmp_path / "_SUCCESS"), 0.05).run()))
        done, _ = await asyncio.wait({waiting}, timeout=0.3)
        assert not done
        return (await asyncio.wait_for(waiting, 5)).payload

    assert asyncio.run(scenario()) == {"status": "found"}


def test_the_trigger_is_recreated_from_what_it_serializes():
    path, arguments = FileTrigger("s3://bucket/_SUCCESS", 30).serialize()
    assert path == f"{FileTrigger.__module__}.{FileTrigger.__qualname__}"
    assert FileTrigger(**arguments).url == "s3://bucket/_SUCCESS"
