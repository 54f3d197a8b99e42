"""``python -m benchmarks.sharding``: one day scored in 1, 2 and 4 shards on two worker processes; prints a table.

Measures the work of the shards alone: what Airflow adds to each task stands in ``benchmarks/results.md``.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import yaml

from benchmarks.machine import describe_machine, measured_now
from benchmarks.stats import Summary

DAY = date(2026, 1, 5)
ROWS = 600_000
SHARDS = (1, 2, 4)
WORKERS = 2
ROUNDS = 3
GROUP_ROWS = 50_000
_NO_ID = UUID(int=0)


@dataclass(frozen=True)
class Case:
    """What a worker needs to score a shard."""

    root: str
    rows: int
    shards: int
    number: int
    run: str


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _prepare(root / "small", ROWS)
        _prepare(root / "large", ROWS * 4)
        about = measured_now(ROUNDS, quick=False)
        with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
            list(pool.map(_warm, range(WORKERS * 2)))
            found: dict[tuple[int, int], list[tuple[float, float]]] = {}
            for number in range(ROUNDS):
                for rows, shards in [*((ROWS, count) for count in SHARDS), (ROWS * 4, 4)]:
                    name = "small" if rows == ROWS else "large"
                    seconds, peak = _round(pool, str(root / name), rows, shards, f"round{number}-{shards}")
                    found.setdefault((rows, shards), []).append((seconds, peak))
    print(
        f"{describe_machine()['processor']}, {about['measured']}, load before {about['load_before']}, n={ROUNDS}\n"
    )
    print("| rows | shards | seconds | rows a second | MiB that a shard adds, most |")
    print("|---|---|---|---|---|")
    for (rows, shards), results in found.items():
        wall = Summary.of([seconds for seconds, _ in results])
        speed = Summary.of([rows / seconds for seconds, _ in results])
        memory = Summary.of([peak for _, peak in results])
        print(f"| {rows:,} | {shards} | {wall.show()} | {speed.show(0)} | {memory.show(0)} |")


def _round(pool: ProcessPoolExecutor, root: str, rows: int, shards: int, run: str) -> tuple[float, float]:
    started = time.perf_counter()
    peaks = list(pool.map(_score, [Case(root, rows, shards, number, run) for number in range(shards)]))
    return time.perf_counter() - started, max(peaks)


def _warm(_: int) -> None:
    import sklearn.ensemble  # noqa: F401

    import zenml_mlops.inference.shards  # noqa: F401

    time.sleep(1)


def _score(case: Case) -> float:
    """Score a shard; return the MiB by which the process grew at most."""
    process, peak, running = psutil.Process(), [0], threading.Event()
    before = process.memory_info().rss
    running.set()

    def sample() -> None:
        while running.is_set():
            peak[0] = max(peak[0], process.memory_info().rss)
            time.sleep(0.005)

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        _scoring(case).score_shard(case.number)
    finally:
        running.clear()
        sampler.join()
    return (peak[0] - before) / 2**20


def _scoring(case: Case) -> Any:
    import joblib

    from zenml_mlops.data.landing import PartitionRef
    from zenml_mlops.data.partitions import PartitionStore
    from zenml_mlops.inference.batch import CheckedPartition
    from zenml_mlops.inference.champion import ScoringVersion
    from zenml_mlops.inference.config import ShardRules
    from zenml_mlops.inference.shards import DayScoring
    from zenml_pipelines.use_case.contract import CONTRACT

    root = Path(case.root)
    store = PartitionStore(str(root / "out"))
    return DayScoring(
        model=lambda: joblib.load(root / "model.joblib"),
        partition=PartitionRef.model_validate_json((root / "partition.json").read_text()),
        champion=ScoringVersion(
            model_name="benchmark",
            version=1,
            version_id=_NO_ID,
            model_artifact_id=_NO_ID,
            contract=CONTRACT,
            training_run_id=None,
        ),
        checked=CheckedPartition.model_validate_json((root / "checked.json").read_text()),
        landing=str(root / "in"),
        quarantine=store,
        store=store,
        batch_rows=8192,
        threshold=0.2,
        run_id=case.run,
        spans=ShardRules(rows=1, most=case.shards).spans(case.rows),
    )


def _prepare(root: Path, rows: int) -> None:
    """Land a partition of generated encounters, validate it, and fit a model as training does."""
    import joblib
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    from zenml_mlops.data.landing import find_partition
    from zenml_mlops.data.partitions import PartitionStore
    from zenml_mlops.data.rows import arrow_schema
    from zenml_mlops.inference.batch import quarantine_bad_rows
    from zenml_mlops.training.fitting import fit_model
    from zenml_pipelines.config import TrainingConfig
    from zenml_pipelines.model import build_model
    from zenml_pipelines.use_case.contract import CONTRACT
    from zenml_pipelines.use_case.schema import LABEL, read_rows
    from zenml_pipelines.use_case.synthetic import generate

    root.mkdir()
    pd.concat(generate(20_000, seed=7)).to_csv(root / "generated.csv", index=False, na_rep="?")
    frame = read_rows(root / "generated.csv")
    frame = frame.loc[CONTRACT.in_scope(frame)]
    settings = yaml.safe_load((Path(__file__).parents[1] / "configs" / "base.yaml").read_text(encoding="utf-8"))
    model = build_model(TrainingConfig.from_settings(settings))
    fit_model(model, frame.drop(columns=LABEL), CONTRACT.events(frame))
    joblib.dump(model, root / "model.joblib")

    schema = CONTRACT
    target = arrow_schema(schema.columns)
    table = pa.Table.from_pandas(frame, schema=target, preserve_index=False)
    place = root / "in" / f"date={DAY.isoformat()}"
    place.mkdir(parents=True)
    with pq.ParquetWriter(place / "part-000.parquet", target) as writer:
        for first in range(0, rows, GROUP_ROWS):
            taken = table.take(pa.array(np.arange(first, first + GROUP_ROWS) % len(table)))
            ids = pa.array(np.arange(first, first + GROUP_ROWS) + 1, pa.int64())
            index = target.get_field_index("encounter_id")
            writer.write_table(taken.set_column(index, target.field(index), ids), row_group_size=GROUP_ROWS)
    with (place / "part-000.parquet").open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    (place / "_SUCCESS").write_text(json.dumps({"rows": rows, "files": {"part-000.parquet": digest}}))
    partition = find_partition(DAY, "in", str(root / "in"), schema)
    checked = quarantine_bad_rows(
        partition,
        schema,
        landing=str(root / "in"),
        store=PartitionStore(str(root / "out")),
        batch_rows=8192,
        run_id="validated",
    )
    (root / "partition.json").write_text(partition.model_dump_json())
    (root / "checked.json").write_text(checked.model_dump_json())


if __name__ == "__main__":
    main()
