"""The capacity page against the measured numbers."""

import json
import math
import re

from benchmarks.capacity import HERE, PAGE, UTILISATION, VOLUMES, WINDOW_HOURS, Cost, need, render
from benchmarks.results import Results


def test_the_page_is_the_one_that_the_measured_numbers_give():
    assert PAGE.read_text(encoding="utf-8") == render(Results.load(HERE)), "run `python -m benchmarks.capacity`"


def test_the_numbers_of_the_page_follow_from_the_results_by_the_formulas_it_names():
    backfill = json.loads((HERE / "results.json").read_text())["benchmarks"]["backfill"]
    rows = re.findall(r"^\| ([\d,]+) \| `(\w+)` \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) == 3 * len(VOLUMES)
    window = WINDOW_HOURS * 3600
    for count, name, cells in rows:
        hours, cores, machines, memory, _ = (float(cell.replace(",", "")) for cell in cells.split(" | "))
        found, partitions = backfill["contenders"][name], int(count.replace(",", ""))
        assert abs(hours - partitions * found["cpu_seconds_per_day"] / 3600) < 0.006
        assert abs(cores - partitions * found["cpu_seconds_per_day"] / window / UTILISATION) < 0.006
        assert machines == math.ceil(partitions * 60 / found["days_per_minute"] / window / UTILISATION)
        assert abs(memory - machines * found["peak_tasks_mb"] / 1000) < 0.06


def test_twice_the_cost_needs_twice_the_machines():
    cheap, dear = Cost(cpu=5, tasks=1, rate=20, slot_mb=300), Cost(cpu=10, tasks=1, rate=10, slot_mb=300)
    assert need(dear, 100_000, 4).cores == 2 * need(cheap, 100_000, 4).cores
    assert need(dear, 100_000, 4).machines in {2 * need(cheap, 100_000, 4).machines + off for off in (-1, 0, 1)}
    assert need(cheap, 1, 4).machines == 1
