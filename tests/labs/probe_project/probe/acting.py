"""What every step of the probe does: journal, obey, and for the last one publish."""

import json
import os
import time
from pathlib import Path

from zenml import get_step_context

from probe.version import VERSION
from zenml_airflow.context import get_run_context

POLL_SECONDS = 0.05


def act(step: str) -> str:
    """Write a line to the day's journal, do what the control file says, return a text that names the execution."""
    context = get_run_context()
    root = Path(context.storage_root) / context.dag_id / context.partition_date.isoformat()
    root.mkdir(parents=True, exist_ok=True)
    journal = root / "journal.jsonl"
    lines = journal.read_text().splitlines() if journal.exists() else []
    number = 1 + sum(f'"{step}"' in line for line in lines)
    entry = {
        "step": step,
        "number": number,
        "pid": os.getpid(),
        "worker": os.getppid(),
        "try": context.try_number,
        "attempt": context.attempt,
        "dag_run": context.dag_run_id,
        "zenml_run": str(get_step_context().pipeline_run.id),
        "version": VERSION,
    }
    # One write of a short line: two processes never mix theirs.
    with journal.open("a") as handle:
        handle.write(json.dumps(entry) + "\n")
    orders = _orders(root, step)
    if number <= orders.get("fail_times", 0):
        raise RuntimeError(f"{step} was told to fail, time {number}")
    if number <= orders.get("vanish_times", 0):
        # An exit that looks well from outside: code 0, and nothing done.
        os._exit(0)
    _wait(root, step, number, orders)
    return f"{step}#{number}"


def _orders(root: Path, name: str) -> dict[str, int]:
    control = root / f"{name}.json"
    return json.loads(control.read_text()) if control.exists() else {}


def _wait(root: Path, name: str, number: int, orders: dict[str, int]) -> None:
    while number <= orders.get("wait_times", 0) and not (root / f"{name}.go").exists():
        time.sleep(POLL_SECONDS)


def publish(text: str) -> None:
    """Replace the day's partition in one move, and keep the old one."""
    context = get_run_context()
    root = Path(context.storage_root) / context.dag_id / context.partition_date.isoformat()
    run = str(get_step_context().pipeline_run.id)
    history = root / "history"
    history.mkdir(exist_ok=True)
    content = json.dumps({"zenml_run": run, "text": text})
    (history / f"{run}.json").write_text(content)
    partial = root / "partition.json.tmp"
    partial.write_text(content)
    orders = _orders(root, "publish")
    executions = sum('"load"' in line for line in (root / "journal.jsonl").read_text().splitlines())
    _wait(root, "publish", executions, orders)
    partial.replace(root / "partition.json")
