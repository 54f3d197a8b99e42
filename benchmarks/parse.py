"""Benchmark 3: what a manifest adds to the parsing of a DAG file, and whether many stay cheap.

Airflow's DAG processor imports the ``airflow.*`` modules that a file names, forks, and parses in the child; so
does ``benchmarks.parse_worker``, with the processor's own functions. Fresh processes are measured beside it: that
is what ``airflow dags list`` or a test in CI pays.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.arena import Progress
from benchmarks.machine import measured_now
from zenml_airflow.contracts.enums import Launcher
from zenml_airflow.manifest.manifest import (
    SCHEMA_VERSION,
    CodeRef,
    Manifest,
    Resources,
    StackRef,
    StepSpec,
    write_manifest,
)
from zenml_airflow.settings.project import Settings, load_settings

FEW, MANY = 10, 200
STEPS = ("load_partition", "validate_partition", "score_partition", "publish_predictions", "summarize")

EMPTY = '''"""A DAG file with nothing in it."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("{name}"):
    EmptyOperator(task_id="nothing")
'''
FIVE_TASKS = '''"""A DAG file with five tasks that do nothing."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, chain

with DAG("{name}"):
    chain(*(EmptyOperator(task_id=f"nothing_{{number}}") for number in range(5)))
'''
MANIFEST = '''"""A DAG file that places a pipeline of five steps."""

from airflow.sdk import DAG

from zenml_airflow.dags import load_settings
from zenml_airflow.task_group import ZenMLTaskGroup

settings = load_settings()

with DAG("{name}"):
    ZenMLTaskGroup("{name}", settings=settings)
'''
KINDS = {"empty": EMPTY, "five_tasks": FIVE_TASKS, "manifest": MANIFEST}


def measure(n: int, *, quick: bool, progress: Progress, many: int = MANY, few: int = FEW) -> dict[str, Any]:
    """Parse DAG files in forked and in fresh processes.

    Args:
        n: Samples of each kind of file.
        quick: Whether the report should call the numbers quick.
        progress: Called with a line for each thing measured.
        many: Files in the large bundle.
        few: Files in the small one.
    """
    about = measured_now(n, quick=quick)
    settings = load_settings()
    # A state folder of its own: the manifests of the other benchmarks stay as they are.
    settings = settings.model_copy(update={"state_dir": settings.state_dir / "parse"})
    bundle = settings.state_dir / "bundle"
    files = {kind: _place(settings, bundle / "one", kind, kind) for kind in KINDS}
    forked = _forked(settings, bundle, {kind: [path] * n for kind, path in files.items()})
    parsed = {kind: [sample["parse"] for sample in samples] for kind, samples in forked.items()}
    progress("forked: " + ", ".join(f"{kind} {median(samples):.0f} ms" for kind, samples in parsed.items()))
    fresh: dict[str, list[float]] = {"empty": [], "manifest": []}
    for _ in range(n):
        for kind, taken in fresh.items():
            taken.append(_fresh(settings, bundle, files[kind]))
    progress("fresh: " + ", ".join(f"{kind} {median(taken):.0f} ms" for kind, taken in fresh.items()))
    bundles = {}
    for count in (few, many):
        folder = bundle / "many"
        placed = [_place(settings, folder, "manifest", f"pipeline_{number:03d}") for number in range(count)]
        samples = _forked(settings, bundle, {"manifest": placed * max(1, n // count)})["manifest"]
        bundles[str(count)] = [sample["parse"] for sample in samples]
        progress(f"{count} manifests in one bundle: {median(bundles[str(count)]):.0f} ms a file")
    return {**about, "forked_ms": forked, "fresh_ms": fresh, "bundles_ms": bundles}


def _place(settings: Settings, folder: Path, kind: str, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.py"
    path.write_text(KINDS[kind].format(name=name), encoding="utf-8")
    if kind == "manifest":
        write_manifest(_manifest(settings, name), settings.manifests_dir)
    return path


def _manifest(settings: Settings, name: str) -> Manifest:
    """A manifest of five steps in a row, as batch inference has them."""
    steps = tuple(
        StepSpec(
            name=step,
            upstream=STEPS[max(0, index - 1) : index],
            resources=Resources(),
            image=None,
            operator=Launcher.IN_PROCESS,
            timeout_seconds=900,
            retries=2,
            retry_delay_seconds=5,
        )
        for index, step in enumerate(STEPS)
    )
    return Manifest(
        schema_version=SCHEMA_VERSION,
        environment=settings.environment,
        pipeline=name,
        snapshot_id="00000000-0000-4000-8000-000000000000",
        snapshot_name=f"{settings.environment}-{name}",
        config_digest=settings.deployed_digest(name),
        code=CodeRef(commit=None, dirty=False, digest="0" * 64),
        image_digest=None,
        stack=StackRef(name=settings.environment, components={"orchestrator": "zenml_airflow"}),
        policies=(),
        steps=steps,
    )


def _forked(settings: Settings, bundle: Path, files: dict[str, list[Path]]) -> dict[str, list[dict[str, float]]]:
    """Parse each file in a fork of a warm process, the kinds in turns; milliseconds by part."""
    request = {kind: [str(path) for path in paths] for kind, paths in files.items()}
    return dict(json.loads(_worker(settings, bundle, json.dumps(request))))


def _fresh(settings: Settings, bundle: Path, file: Path) -> float:
    """Milliseconds that a new interpreter takes from its start to its end, parsing one file."""
    started = time.perf_counter()
    _worker(settings, bundle, json.dumps({"fresh": [str(file)]}), "--fresh")
    return 1000 * (time.perf_counter() - started)


def _worker(settings: Settings, bundle: Path, request: str, *options: str) -> str:
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.parse_worker", str(bundle), *options],
        input=request,
        env={**os.environ, "MLOPS_STATE_DIR": str(settings.state_dir)},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise RuntimeError(f"The parse worker failed: {result.stderr[-2000:]}")
    # Airflow may greet on stdout; the answer is the last line.
    return result.stdout.strip().splitlines()[-1]
