"""The memory of a scoring run does not grow with the partition."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from labs import ROOT

from zenml_mlops.data.rows import arrow_schema
from zenml_pipelines.use_case.contract import CONTRACT

_MEASURE = """
import json, sys, threading, time
from datetime import date
from uuid import uuid4
from zenml_mlops.inference.batch import quarantine_bad_rows
from zenml_mlops.inference.shards import DayScoring
from zenml_mlops.inference.champion import ScoringVersion
from zenml_pipelines.use_case.contract import CONTRACT
from zenml_mlops.data.landing import find_partition
from zenml_mlops.data.partitions import PartitionStore
import numpy as np
import psutil

class Model:
    feature_names_in_ = CONTRACT.features
    def predict_proba(self, frame):
        return np.full((len(frame), 2), 0.5)

schema = CONTRACT
champion = ScoringVersion(model_name="m", version=1, version_id=uuid4(), model_artifact_id=uuid4(),
                    contract=schema, training_run_id=None)

def run(root, batch_rows):
    landing, store = root + "/in", PartitionStore(root + "/out")
    partition = find_partition(date(2026, 1, 5), "in", landing, schema)
    checked = quarantine_bad_rows(partition, schema, landing=landing, store=store, batch_rows=batch_rows,
                                  run_id="a")
    return DayScoring(model=Model, partition=partition, champion=champion, checked=checked, landing=landing,
                      quarantine=store, store=store, batch_rows=batch_rows, threshold=0.2, run_id="b",
                      spans=[(0, partition.rows)]).gather().rows

def measured(root, batch_rows):
    # Rows, and the sampled peak in MiB: ru_maxrss would start at the size of the parent process.
    peak, running, process = [0], threading.Event(), psutil.Process()
    running.set()
    def sample():
        while running.is_set():
            peak[0] = max(peak[0], process.memory_info().rss)
            time.sleep(0.002)
    thread = threading.Thread(target=sample)
    thread.start()
    rows = run(root, batch_rows)
    running.clear()
    thread.join()
    return rows, peak[0] / 2**20

few, many = sys.argv[1:]
print(json.dumps([measured(few, 2048), measured(many, 2048), measured(many, 1_000_000)]))
"""


def _land(root: Path, frame: pd.DataFrame, copies: int) -> None:
    """Write copies of a frame as one partition, in one row group."""
    table = pa.Table.from_pandas(frame, schema=arrow_schema(CONTRACT.columns), preserve_index=False)
    table = pa.concat_tables([table] * copies)
    table = table.set_column(0, "encounter_id", pa.array(range(1, len(table) + 1), pa.int64()))
    place = root / "in" / "date=2026-01-05"
    place.mkdir(parents=True)
    pq.write_table(table, place / "part-000.parquet")
    digest = hashlib.sha256((place / "part-000.parquet").read_bytes()).hexdigest()
    (place / "_SUCCESS").write_text(json.dumps({"rows": len(table), "files": {"part-000.parquet": digest}}))


def test_ten_times_the_rows_need_no_more_memory(day_frame: pd.DataFrame, tmp_path: Path):
    _land(tmp_path / "few", day_frame, 150)
    _land(tmp_path / "many", day_frame, 1_500)
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(tmp_path / "few"), str(tmp_path / "many")],
        cwd=ROOT,
        # Arrow's own allocator keeps 15 to 40 MiB that are free; the system's gives them back.
        # What is measured is a process as users start it: the tests' own collect garbage rarely.
        env={**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system", "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    (few, small), (many, large), (_, whole) = json.loads(done.stdout.splitlines()[-1])
    assert (few, many) == (15_000, 150_000)
    print(f"{small:.0f} MiB for {few} rows, {large:.0f} MiB for {many}, {whole:.0f} MiB without batches")
    # The ids of the duplicate check are 1 MiB; the rest is the allocator's slack.
    assert large - small < 30
    # The measurement sees what it should: without batches the same rows are far over the limit.
    assert whole - small > 3 * 30
