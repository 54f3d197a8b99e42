"""Which tasks a manifest becomes."""

import pytest
from labs.manifests import manifest, step

from zenml_airflow.contracts.enums import Granularity, Launcher
from zenml_airflow.manifest.manifest import Resources
from zenml_airflow.manifest.plan import PlanError, memory_bytes, plan_tasks, select_steps

BIG = Resources(memory="16GB")


def tasks(*steps, granularity, launcher=Launcher.IN_PROCESS, **kwargs):
    plan = plan_tasks(manifest(steps=steps), granularity=granularity, launcher=launcher, **kwargs)
    return {task.task_id: ([step.name for step in task.steps], sorted(task.upstream)) for task in plan}


DIAMOND = (step("load"), step("left", "load"), step("right", "load"), step("join", "left", "right"))


def test_one_task_for_each_step():
    assert tasks(*DIAMOND, granularity=Granularity.PER_STEP) == {
        "load": (["load"], []),
        "left": (["left"], ["load"]),
        "right": (["right"], ["load"]),
        "join": (["join"], ["left", "right"]),
    }


def test_one_task_for_the_pipeline():
    assert tasks(*DIAMOND, granularity=Granularity.PIPELINE) == {"run": (["load", "left", "right", "join"], [])}


def test_steps_that_ask_for_nothing_special_share_a_task():
    assert tasks(*DIAMOND, granularity=Granularity.GROUPED) == {"load": (["load", "left", "right", "join"], [])}


def test_a_gate_gets_a_task_of_its_own():
    steps = (step("load"), step("gate", "load", gate=True), step("publish", "gate"), step("report", "load"))
    assert tasks(*steps, granularity=Granularity.GROUPED) == {
        "load": (["load", "report"], []),
        "gate": (["gate"], ["load"]),
        "publish": (["publish"], ["gate"]),
    }


def test_an_observer_step_gets_a_task_of_its_own():
    steps = (
        step("load"),
        step("publish", "load"),
        step("watch", "publish", observer=True),
        step("sum", "publish"),
    )
    assert tasks(*steps, granularity=Granularity.GROUPED) == {
        "load": (["load", "publish", "sum"], []),
        "watch": (["watch"], ["load"]),
    }
    (whole,) = plan_tasks(manifest(steps=steps), granularity=Granularity.PIPELINE, launcher=Launcher.IN_PROCESS)
    assert not whole.observer


def test_two_gates_side_by_side_are_two_tasks():
    steps = (step("load"), step("fair", "load", gate=True), step("good", "load", gate=True))
    assert set(tasks(*steps, granularity=Granularity.GROUPED)) == {"load", "fair", "good"}


def test_resources_cut_only_where_a_container_starts():
    steps = (step("load"), step("train", "load", resources=BIG), step("report", "train"))
    assert set(tasks(*steps, granularity=Granularity.GROUPED)) == {"load"}
    assert tasks(*steps, granularity=Granularity.GROUPED, launcher=Launcher.KUBERNETES) == {
        "load": (["load"], []),
        "train": (["train"], ["load"]),
        "report": (["report"], ["train"]),
    }


def test_a_task_never_waits_for_one_that_waits_for_it():
    # load and report are alike, but report waits for train, which waits for load.
    steps = (
        step("load"),
        step("train", "load", resources=BIG),
        step("report", "load", "train"),
        step("check", "load"),
    )
    found = tasks(*steps, granularity=Granularity.GROUPED, launcher=Launcher.DOCKER)
    assert found == {
        "load": (["load", "check"], []),
        "train": (["train"], ["load"]),
        "report": (["report"], ["load", "train"]),
    }


def test_one_task_needs_one_image():
    steps = (step("load", image="a@sha256:" + "1" * 64), step("train", "load", image="b@sha256:" + "2" * 64))
    with pytest.raises(PlanError, match="different images"):
        tasks(*steps, granularity=Granularity.PIPELINE, launcher=Launcher.DOCKER)
    assert len(tasks(*steps, granularity=Granularity.PIPELINE)) == 1


def test_a_shared_task_asks_for_the_most_and_retries_the_least():
    steps = (
        step("load", resources=Resources(cpu_count=2, memory="900MB")),
        step("train", "load", retries=0, resources=Resources(cpu_count=0.5, memory="1GiB", gpu_count=1)),
    )
    (task,) = plan_tasks(manifest(steps=steps), granularity=Granularity.PIPELINE, launcher=Launcher.IN_PROCESS)
    assert task.resources == Resources(cpu_count=2, memory="1GiB", gpu_count=1)
    assert (task.retries, task.timeout_seconds) == (0, 120)


@pytest.mark.parametrize(
    ("select", "names"),
    [
        (None, ["load", "left", "right", "join"]),
        ("left", ["left"]),
        ("left+", ["left", "join"]),
        ("+left", ["load", "left"]),
        ("+left+", ["load", "left", "join"]),
        ("right left", ["left", "right"]),
        (["load", "join"], ["load", "join"]),
    ],
)
def test_selection(select, names):
    assert [found.name for found in select_steps(manifest(steps=DIAMOND), select)] == names


@pytest.mark.parametrize("select", ["nothing", "load++", "+", "", [], "left nothing"])
def test_a_selection_that_means_nothing_is_refused(select):
    with pytest.raises(PlanError, match="select="):
        select_steps(manifest(steps=DIAMOND), select)


def test_tasks_of_a_selection_wait_for_each_other_only():
    assert tasks(*DIAMOND, granularity=Granularity.PER_STEP, select="left+") == {
        "left": (["left"], []),
        "join": (["join"], ["left"]),
    }


@pytest.mark.parametrize(
    ("text", "count"), [("2GB", 2 * 10**9), ("512MiB", 2**29), ("1KB", 1000), ("1.5GiB", 3 * 2**29)]
)
def test_memory(text, count):
    assert memory_bytes(text) == count


def test_an_unknown_amount_of_memory_is_refused():
    with pytest.raises(PlanError, match="not an amount of memory"):
        memory_bytes("2 elephants")


SHARDED = (step("load"), step("check", "load"), step("score", "check", sharded=True), step("publish", "score"))


def test_a_step_in_shards_starts_a_task_where_that_is_asked_for():
    assert tasks(*SHARDED, granularity=Granularity.GROUPED, sharded=True) == {
        "load": (["load", "check"], []),
        "score": (["score"], ["load"]),
        "publish": (["publish"], ["score"]),
    }
    assert tasks(*SHARDED, granularity=Granularity.GROUPED) == {
        "load": (["load", "check", "score", "publish"], [])
    }
    plan = plan_tasks(
        manifest(steps=SHARDED), granularity=Granularity.PER_STEP, launcher=Launcher.IN_PROCESS, sharded=True
    )
    assert [task.task_id for task in plan if task.in_shards] == ["score"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"granularity": Granularity.PIPELINE}, "needs tasks of its own"),
        ({"granularity": Granularity.GROUPED, "select": "score+"}, "a step before it says how many"),
    ],
)
def test_shards_without_a_place_are_refused(arguments, message):
    with pytest.raises(PlanError, match=message):
        tasks(*SHARDED, sharded=True, **arguments)
