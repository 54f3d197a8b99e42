"""The parse benchmark runs from end to end; how long it takes is no test."""

import pytest

from benchmarks import parse


@pytest.mark.bench
def test_it_parses_each_kind_of_file_and_both_bundles():
    lines = []
    measured = parse.measure(1, quick=True, progress=lines.append, few=1, many=2)
    assert set(measured["forked_ms"]) == {"empty", "five_tasks", "manifest"}
    (sample,) = measured["forked_ms"]["manifest"]
    assert {"imports", "settings", "manifest", "operators", "serialization", "rest"} <= set(sample)
    assert [len(measured["bundles_ms"][count]) for count in ("1", "2")] == [1, 2]
    assert len(lines) == 4
