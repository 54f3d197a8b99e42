"""The backfill benchmark on an Airflow that answers from a list: what it counts, and what it refuses."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from benchmarks import backfill
from benchmarks.arena import FIRST_DAY
from benchmarks.contenders import choose
from benchmarks.report_race import backfill as section
from zenml_mlops.airflow_api.api import AirflowApi

START = datetime(2026, 1, 5, tzinfo=UTC)


class FakeApi(AirflowApi):
    """Every run takes 8 s, four at a time."""

    def __init__(self):
        self.asked = []

    def backfill(self, dag_id, first, last, *, max_active_runs):
        self.asked.append((dag_id, (last - first).days + 1, max_active_runs))
        return 1

    def runs_of_days(self, dag_id, first, last):
        runs = {}
        for number in range((last - first).days + 1):
            begin = START + timedelta(seconds=8 * (number // 4))
            runs[first + timedelta(days=number)] = {
                "dag_run_id": f"{dag_id}-{number}",
                "state": "success",
                "start_date": begin.isoformat(),
                "end_date": (begin + timedelta(seconds=8)).isoformat(),
            }
        return runs


class FakeTree:
    def __init__(self, _settings):
        self.spent = 0.0

    def cpu_seconds(self):
        self.spent += 10.0
        return {"scheduler": self.spent}

    def memory_bytes(self):
        return {"scheduler": 400_000_000, "api-server": 100_000_000}


@pytest.fixture
def arena(monkeypatch):
    monkeypatch.setattr(backfill, "ServiceTree", FakeTree)
    return SimpleNamespace(
        settings=None, api=FakeApi(), data="synthetic encounters", digest=lambda _one, day: day.isoformat()
    )


def test_a_slow_contender_gets_fewer_days_and_the_report_says_so(arena):
    chosen = choose("stock,pipeline", quick=False)
    measured = backfill.measure(arena, chosen, quick=False, progress=lambda _: None)
    assert arena.api.asked == [("bench_stock", 10, 4), ("bench_pipeline", 30, 4)]
    pipeline = measured["contenders"]["pipeline"]
    assert pipeline["wall"] == 64.0
    assert pipeline["days_per_minute"] == pytest.approx(60 * 30 / 64)
    assert len(pipeline["window_rates"]) == 5
    assert pipeline["cpu_seconds_per_day"] == pytest.approx(10 / 30)
    assert "`stock` 10" in section(measured)


def test_other_predictions_than_the_contender_before_are_refused(arena):
    arena.digest = lambda one, day: one.name if day == FIRST_DAY else "same"
    with pytest.raises(RuntimeError, match="predicts other things"):
        backfill.measure(arena, choose("pipeline,plain", quick=True), quick=True, progress=lambda _: None)


@pytest.mark.parametrize("days", [1, 3, 5, 10, 30])
def test_every_number_of_days_has_window_rates(days):
    rates = backfill._window_rates([8.0 * (number + 1) for number in range(days)])
    assert len(rates) == min(days, 5)
    assert all(rate == pytest.approx(7.5) for rate in rates)
