"""The serving benchmark asks a real service; how fast is no test."""

from pathlib import Path

import pytest

from benchmarks import serving
from benchmarks.report_serving import serving as section


@pytest.mark.bench
@pytest.mark.usefixtures("short")
def test_it_asks_the_service_beside_the_bare_model():
    measured = serving.measure(
        1, quick=True, progress=lambda line: None, seconds=0.5, data=Path("there is no archive here")
    )
    (found,) = measured["rounds"]
    assert measured["data"] == "synthetic encounters"
    assert [(one["clients"], one["rows"]) for one in found["service"]] == list(serving.SCENARIOS)
    assert all(one["requests"] > 0 and 0 < one["p50"] <= one["p99"] for one in found["service"])
    assert all(ms > 0 for ms in found["bare"].values())
    text = section(measured)
    assert "64 clients, 1 row" in text
    assert "1 client, 100 rows" in text
    assert "nan" not in text


@pytest.fixture
def short(monkeypatch):
    """Fewer bare calls: they are not what is tested."""
    monkeypatch.setattr(serving, "BARE_CALLS", 3)
