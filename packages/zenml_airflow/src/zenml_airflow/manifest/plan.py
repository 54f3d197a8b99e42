"""Which Airflow tasks a manifest becomes: selection of steps, then grouping.

Imports neither Airflow nor ZenML.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from zenml_airflow.contracts.enums import Granularity, Launcher
from zenml_airflow.manifest.manifest import Manifest, Resources, StepSpec

PIPELINE_TASK = "run"
"""Task id where a whole pipeline is one task."""

_TERM = re.compile(r"^(\+?)([^+\s]+)(\+?)$")
_MEMORY = re.compile(r"^(\d+(?:\.\d+)?)\s*([KMGTP]i?B)$")
_UNITS = {
    f"{prefix}{kind}": base**power
    for power, prefix in enumerate("KMGTP", start=1)
    for kind, base in (("B", 1000), ("iB", 1024))
}


_Key = tuple[object, ...]
_Home = tuple[int, _Key]


class PlanError(ValueError):
    """The steps of a pipeline cannot be placed as asked."""


@dataclass(frozen=True)
class TaskPlan:
    """One Airflow task.

    Attributes:
        in_shards: Whether tasks before it, one a shard, work on parts of what it does.
    """

    task_id: str
    steps: tuple[StepSpec, ...]
    upstream: tuple[str, ...]
    in_shards: bool = False

    @property
    def observer(self) -> bool:
        """Whether it runs observer steps only."""
        return all(step.observer for step in self.steps)

    @property
    def retries(self) -> int:
        """Retries of the task: a step that must not be tried again forbids it for the task that holds it."""
        return min(step.retries for step in self.steps)

    @property
    def retry_delay_seconds(self) -> int:
        """Wait before the first retry."""
        return max(step.retry_delay_seconds for step in self.steps)

    @property
    def timeout_seconds(self) -> int:
        """Limit of the task's run time."""
        return sum(step.timeout_seconds for step in self.steps)

    @property
    def image(self) -> str | None:
        """Image that the steps name; ``None`` where they name none."""
        return self.steps[0].image

    @property
    def resources(self) -> Resources:
        """What the task needs: the most that one of its steps asks for, as they run one after the other."""

        def most(values: Iterable[float | None]) -> float | None:
            return max((value for value in values if value is not None), default=None)

        asked = [step.resources for step in self.steps]
        gpus = most(item.gpu_count for item in asked)
        memories = [item.memory for item in asked if item.memory is not None]
        return Resources(
            cpu_count=most(item.cpu_count for item in asked),
            memory=max(memories, key=memory_bytes, default=None),
            gpu_count=None if gpus is None else int(gpus),
        )


def select_steps(manifest: Manifest, select: str | Sequence[str] | None) -> tuple[StepSpec, ...]:
    """Choose steps of a pipeline.

    Args:
        select: Terms, as one text with spaces or as a list: ``name`` is a step, ``name+`` a step and all that
            follows, ``+name`` a step and all that it waits for. ``None`` is the whole pipeline.

    Returns:
        The steps, in the order of the manifest.

    Raises:
        PlanError: If a term is no term, names an unknown step, or nothing is selected.
    """
    if select is None:
        return manifest.steps
    terms = select.split() if isinstance(select, str) else list(select)
    known = {step.name: step for step in manifest.steps}
    chosen: set[str] = set()
    for term in terms:
        match = _TERM.match(term)
        if match is None or match[2] not in known:
            raise PlanError(
                f"select={term!r} names no step of {manifest.pipeline!r}. Write NAME, NAME+ (and what follows) or "
                f"+NAME (and what it waits for), with one of {sorted(known)}."
            )
        chosen.add(match[2])
        if match[1]:
            chosen |= _reach(match[2], {name: step.upstream for name, step in known.items()})
        if match[3]:
            follows = {name: tuple(s.name for s in manifest.steps if name in s.upstream) for name in known}
            chosen |= _reach(match[2], follows)
    if not chosen:
        raise PlanError(f"select={select!r} selects no step of {manifest.pipeline!r}.")
    return tuple(step for step in manifest.steps if step.name in chosen)


def _reach(start: str, edges: dict[str, tuple[str, ...]]) -> set[str]:
    found: set[str] = set()
    pending = [start]
    while pending:
        for name in edges[pending.pop()]:
            if name not in found:
                found.add(name)
                pending.append(name)
    return found


def plan_tasks(
    manifest: Manifest,
    *,
    granularity: Granularity,
    launcher: Launcher,
    select: str | Sequence[str] | None = None,
    sharded: bool = False,
) -> tuple[TaskPlan, ...]:
    """Cut a pipeline into Airflow tasks.

    Args:
        launcher: Where they run; images and resources matter only where a container starts.

    Returns:
        The tasks in topological order.

    Raises:
        PlanError: If the selection is wrong, one task would need two images, or shards have no place.
    """
    steps = select_steps(manifest, select)
    _check_shards(manifest, steps, granularity, sharded=sharded)
    keys = {step.name: _key(step, granularity, launcher, sharded=sharded) for step in steps}
    levels: dict[str, int] = {}
    members: dict[_Home, list[StepSpec]] = {}
    home: dict[str, _Home] = {}
    chosen = {step.name: step for step in steps}
    for step in steps:
        # Each change of demand on the way to a step raises its level; steps of one level and one demand share a
        # task, so a task never waits for another one that waits for it.
        levels[step.name] = max(
            (levels[up] + (keys[up] != keys[step.name]) for up in step.upstream if up in chosen), default=0
        )
        home[step.name] = (levels[step.name], keys[step.name])
        members.setdefault(home[step.name], []).append(step)
    ids = {
        key: PIPELINE_TASK if granularity is Granularity.PIPELINE else group[0].name
        for key, group in members.items()
    }
    order = sorted(members, key=lambda key: (key[0], steps.index(members[key][0])))
    tasks = []
    for key in order:
        group = members[key]
        if launcher.needs_image and len({step.image for step in group}) > 1:
            raise PlanError(
                f"Steps {[step.name for step in group]} of {manifest.pipeline!r} name different images and cannot "
                "share a task: use granularity 'grouped' or 'per_step'."
            )
        waits = {home[up] for step in group for up in step.upstream if up in chosen} - {key}
        upstream = tuple(ids[k] for k in order if k in waits)
        tasks.append(TaskPlan(ids[key], tuple(group), upstream, sharded and group[0].sharded))
    return tuple(tasks)


def _check_shards(
    manifest: Manifest, steps: Sequence[StepSpec], granularity: Granularity, *, sharded: bool
) -> None:
    """Check that shards can be placed: between the tasks of the steps before and the task of the step itself."""
    chosen = {step.name for step in steps}
    for step in steps if sharded else ():
        if not step.sharded:
            continue
        if granularity is Granularity.PIPELINE:
            raise PlanError(
                f"Step {step.name!r} of {manifest.pipeline!r} is to run in shards, which needs tasks of its own: "
                "use granularity 'grouped' or 'per_step', or switch `sharded` off."
            )
        if not chosen & set(step.upstream):
            raise PlanError(
                f"Step {step.name!r} of {manifest.pipeline!r} is to run in shards, and a step before it says how "
                "many: select one of those too, or switch `sharded` off."
            )


def _key(step: StepSpec, granularity: Granularity, launcher: Launcher, *, sharded: bool) -> _Key:
    """What steps must have in common to share a task."""
    if granularity is Granularity.PIPELINE:
        return ()
    if granularity is Granularity.PER_STEP:
        return (step.name,)
    gate = step.name if step.gate or step.observer or (sharded and step.sharded) else None
    # Without a container, images and resources have no effect and demand no cut.
    return (gate, step.image, step.resources) if launcher.needs_image else (gate,)


def memory_bytes(text: str) -> int:
    """Bytes of a ZenML memory setting such as ``2GB`` or ``512MiB``.

    Raises:
        PlanError: If the text is none.
    """
    match = _MEMORY.match(text)
    if match is None:
        raise PlanError(f"{text!r} is not an amount of memory, such as 2GB or 512MiB.")
    return int(float(match[1]) * _UNITS[match[2]])
