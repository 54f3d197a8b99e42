"""CPU time and memory of the services and of everything they start."""

from __future__ import annotations

import re
import threading
from collections import Counter, defaultdict
from pathlib import Path

import psutil

from zenml_airflow.settings.project import Settings
from zenml_mlops.local import services

INTERVAL_SECONDS = 0.5
TASKS = "scheduler"
"""Service whose process tree holds the tasks: the LocalExecutor forks them."""


class ServiceTree:
    """The running services of a state folder.

    CPU time counts a process while it lives and, from then on, with the parent that waited for it: summed over the
    living, nothing is lost and nothing counts twice.
    """

    def __init__(self, settings: Settings) -> None:
        supervisors = [p for p in services.running(settings) if "supervisord" in " ".join(p.cmdline())]
        if not supervisors:
            raise RuntimeError("The services are not running: nothing to measure.")
        self._roots = {
            name: process
            for process in supervisors[0].children()
            if (name := _service_name(process, settings)) is not None
        }
        if TASKS not in self._roots:
            raise RuntimeError(f"No {TASKS} among the services: found {sorted(self._roots)}.")

    def cpu_seconds(self) -> dict[str, float]:
        """CPU seconds so far by service."""
        spent: defaultdict[str, float] = defaultdict(float)
        for name, root in self._roots.items():
            if not root.is_running():
                raise RuntimeError(f"{name} ended while it was measured, and its CPU time with it: see its log.")
            for process in _tree(root):
                try:
                    spent[name] += sum(process.cpu_times()[:4])
                except psutil.Error:
                    continue
        return dict(spent)

    def memory_bytes(self) -> dict[str, int]:
        """Proportional set size by service: shared pages count once, divided among those that share them."""
        used: Counter[str] = Counter()
        for name, root in self._roots.items():
            for process in _tree(root):
                used[name] += round(1e6 * memory_of(process.pid)["proportional"])
        return dict(used)


class Sampler(threading.Thread):
    """Watches the memory of the services until told to stop; remembers the peak."""

    def __init__(self, tree: ServiceTree) -> None:
        super().__init__(daemon=True)
        self._tree = tree
        self._ended = threading.Event()
        self.peak_tasks = 0
        self.peak_all = 0

    def run(self) -> None:
        """Sample until :meth:`finish`."""
        while not self._ended.wait(INTERVAL_SECONDS):
            used = self._tree.memory_bytes()
            self.peak_tasks = max(self.peak_tasks, used.get(TASKS, 0))
            self.peak_all = max(self.peak_all, sum(used.values()))

    def finish(self) -> None:
        """Stop sampling."""
        self._ended.set()
        self.join()


def cpu_between(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """CPU seconds that each service spent between two readings."""
    return {name: round(after[name] - before.get(name, 0.0), 3) for name in after}


def _service_name(process: psutil.Process, settings: Settings) -> str | None:
    command = " ".join(process.cmdline())
    for service in services.services(settings):
        titles = (f"airflow {service.name}", f"airflow {service.name.replace('-', '_')}", f"-m {service.name} ")
        if any(title in command for title in titles):
            return service.name
    return None


def _tree(root: psutil.Process) -> list[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def memory_of(pid: int) -> dict[str, float]:
    """Memory of a process in megabytes.

    Returns:
        ``resident``, ``proportional`` (a page counts divided by those who share it), ``shared`` with other
        processes, and ``private``; all zero for a process that has ended.
    """
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        text = ""
    used: Counter[str] = Counter()
    for name, amount in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE):
        used[name] += int(amount)
    return {
        "resident": used["Rss"] * 1024 / 1e6,
        "proportional": used["Pss"] * 1024 / 1e6,
        "shared": (used["Shared_Clean"] + used["Shared_Dirty"]) * 1024 / 1e6,
        "private": (used["Private_Clean"] + used["Private_Dirty"]) * 1024 / 1e6,
    }
