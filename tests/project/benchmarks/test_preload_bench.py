"""The preload benchmark runs from end to end; how much it saves is no test."""

import pytest

from benchmarks import preload
from benchmarks.report_preload import preload as section


@pytest.mark.bench
def test_it_measures_forks_with_and_without_preloading():
    lines = []
    measured = preload.measure(1, quick=True, progress=lines.append, tasks=2)
    for mode in ("off", "on"):
        (sample,) = measured["rounds"][mode]
        assert len(sample["tasks"]) == 2
        for task in sample["tasks"]:
            assert 0 < task["private"] < task["resident"]
            assert task["private"] <= task["proportional"] <= task["resident"]
            assert task["cpu"] > 0
    off, on = (measured["rounds"][mode][0]["parent"]["resident"] for mode in ("off", "on"))
    assert on > off
    assert len(lines) == 1
    assert "what a further task costs" in section(measured)
