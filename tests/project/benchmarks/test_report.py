"""The report comes from numbers alone, and says what was missed."""

import json

import pytest

from benchmarks.contenders import CONTENDERS, choose
from benchmarks.report import render
from benchmarks.results import Results
from benchmarks.stats import Summary, ratios
from benchmarks.stopwatch import Stopwatch
from benchmarks.targets import judge

ABOUT = {"measured": "2026-01-05 06:00 UTC", "n": 2, "quick": False, "load_before": 0.05}


def run(wall, tasks=5):
    return {
        "wall": wall,
        "queued_to_end": wall + 0.5,
        "tasks": tasks,
        "tries": 1,
        "in_tasks": 0.8 * wall,
        "in_queue": 0.1,
        "cpu": {"scheduler": wall, "api-server": 0.5},
    }


def inference(stock=50.0, per_step=8.0, pipeline=3.0, plain=4.0):
    runs = {"stock": stock, "per_step": per_step, "pipeline": pipeline, "plain": plain}
    rounds = [
        {
            "day": f"2026-02-0{number + 1}",
            "rows": 100,
            "runs": {
                name: run(wall * (1 + number / 10), 1 if name == "pipeline" else 5) for name, wall in runs.items()
            },
        }
        for number in range(2)
    ]
    return {**ABOUT, "data": "synthetic encounters", "rounds": rounds}


def backfill():
    result = {
        "days": 10,
        "wall": 60.0,
        "days_per_minute": 10.0,
        "window_rates": [8.0, 10.0, 12.0],
        "run_walls": [5.0, 6.0, 7.0],
        "cpu": {"scheduler": 80.0, "api-server": 20.0},
        "cpu_seconds_per_day": 10.0,
        "peak_mb": 1500.0,
        "peak_tasks_mb": 900.0,
        "idle_mb": 1000.0,
    }
    contenders = {"stock": result, "pipeline": {**result, "days": 30}}
    return {**ABOUT, "data": "synthetic encounters", "active_runs": 4, "windows": 5, "contenders": contenders}


def parse(manifest=30.0):
    def samples(value):
        return [
            {"parse": value * factor, "rest": 20.0, "imports": value - 20, "total": value} for factor in (1, 1.1)
        ]

    return {
        **ABOUT,
        "forked_ms": {"empty": samples(20.0), "five_tasks": samples(22.0), "manifest": samples(manifest)},
        "fresh_ms": {"empty": [3000.0, 3100.0], "manifest": [3050.0, 3150.0]},
        "bundles_ms": {"10": [30.0, 31.0], "200": [30.0, 32.0]},
    }


def overhead():
    def sample(size):
        return {
            "size": size,
            "wall": 0.2 * size,
            "seconds": {"ZenML store calls": 0.15 * size, "rest": 0.05 * size},
            "calls": {"ZenML store calls": 8 * size},
            "details": {"ZenML store calls: create_run_step": [size, 0.05 * size]},
            "elsewhere": {},
            "sql": {"SELECT": 90 * size, "COMMIT": 18 * size},
        }

    warm = {str(size): [sample(size), sample(size)] for size in (1, 10, 20)}
    return {**ABOUT, "sizes": [1, 10, 20], "warm": warm, "first": [sample(1)], "bare_us": dict.fromkeys(warm, 0.5)}


@pytest.fixture
def content():
    machine = {
        "cores": 2,
        "memory_gb": 8,
        "processor": "a processor",
        "system": "Linux 6.0",
        "python": "3.11.7",
        "packages": {"zenml": "0.98.0"},
    }
    measured = {"inference": inference(), "backfill": backfill(), "parse": parse(), "overhead": overhead()}
    return {"machine": machine, "benchmarks": measured}


def test_the_report_renders_every_section_without_a_path_or_an_empty_cell(content, tmp_path):
    (tmp_path / "results.json").write_text(json.dumps(content))
    paths = Results.load(tmp_path).write(tmp_path)
    text = (tmp_path / "results.md").read_text()
    assert all(path.stat().st_size for path in paths)
    for heading in (
        "## Targets",
        "## Daily batch inference",
        "## Backfill of 30 days",
        "## Parsing",
        "## Overhead",
    ):
        assert heading in text
    assert "`stock` 10" in text, "fewer days of a slow contender are named"
    assert "nan" not in text
    assert str(tmp_path) not in text


@pytest.mark.parametrize("name", ["inference", "backfill", "parse", "overhead"])
def test_each_benchmark_renders_alone(content, name, tmp_path):
    alone = Results(content["machine"], {name: content["benchmarks"][name]})
    alone.write(tmp_path)
    assert (tmp_path / "results.png").read_bytes().startswith(b"\x89PNG")


def test_a_missed_target_says_where_the_time_goes(content):
    content["benchmarks"] = {"inference": inference(pipeline=9.0), "parse": parse(manifest=60.0)}
    verdicts = judge(content["benchmarks"])
    assert [one.met for one in verdicts] == [False, True, False, False, True]
    text = render(content)
    assert text.count("**missed**") == 3
    assert "are inside 1 task" in text
    assert "imports 40.0 ms" in text


def test_met_targets_need_no_explanation(content):
    content["benchmarks"] = {"inference": inference()}
    assert all(one.met for one in judge(content["benchmarks"]))
    assert "Where the time goes in what is missed" not in render(content)


def test_a_quick_run_and_a_busy_machine_are_marked(content):
    content["benchmarks"]["inference"] |= {"quick": True, "load_before": 3.0}
    text = render(content)
    assert "**Quick run** (inference)" in text
    assert "the machine was busy" in text


def test_numbers_of_another_machine_are_dropped(content):
    results = Results(content["machine"], content["benchmarks"])
    results.add("parse", parse())
    assert set(results.benchmarks) == {"parse"}


def test_ratios_are_taken_round_by_round():
    assert ratios([10, 30], [5, 10]) == Summary(2, 2.5, 2, 3)


def test_a_stopwatch_counts_each_part_without_the_parts_inside_it():
    watch = Stopwatch()
    with watch.part("outer"), watch.part("outer"), watch.part("inner"):
        pass
    read = watch.read()
    assert read["calls"] == {"outer": 1, "inner": 1}
    assert set(read["seconds"]) == {"rest", "outer", "inner"}


def test_every_contender_has_a_dag_file_and_the_other_way_round(pytestconfig):
    files = {path.stem for path in (pytestconfig.rootpath / "benchmarks" / "dags").glob("*.py")}
    assert files == {one.dag_id for one in CONTENDERS}


def test_an_unknown_contender_lists_the_known_ones():
    with pytest.raises(ValueError, match="'per_step'"):
        choose("pipeline,teleport", quick=False)


def test_a_contender_that_is_measured_again_keeps_the_others(tmp_path):
    results = Results.load(tmp_path)
    results.add("backfill", backfill())
    again = {**backfill(), "measured": "2026-01-06 06:00 UTC"}
    again["contenders"] = {"pipeline": {**again["contenders"]["pipeline"], "days_per_minute": 20.0}}
    results.add("backfill", again)
    found = results.benchmarks["backfill"]
    assert found["contenders"]["pipeline"]["days_per_minute"] == 20.0
    assert "another run on the same machine: `stock` 2026-01-05 06:00 UTC." in render(
        {"machine": results.machine, "benchmarks": results.benchmarks}
    )
    results.add("backfill", {**again, "active_runs": 2})
    assert list(results.benchmarks["backfill"]["contenders"]) == ["pipeline"]
