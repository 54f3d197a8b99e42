"""What Airflow, ZenML and the data agree on, whatever happens to a run.

A scenario is played for all its launchers and granularities at the same time; each is then judged by itself, on
Airflow's API, ZenML's records and the files.
"""

import time
from datetime import UTC, datetime, timedelta

import pytest
from labs.probe_lab import COMBINATIONS, OPEN, dag_of, played, task_of
from labs.probe_rows import Row

pytestmark = [pytest.mark.timeout(1800)]

STEPS = {"extract", "transform", "side", "check", "load"}


def plays(*rows):
    """Judge each combination that the rows are played with."""
    return pytest.mark.parametrize("combination", played(*rows))


def settle(lab, *days, timeout=240):
    """Wait until the runs of all combinations have ended; who has not is found out by the tests."""
    deadline = time.monotonic() + timeout
    while lab.unfinished(*days) and time.monotonic() < deadline:
        time.sleep(0.5)


def reach(lab, combinations, day, step, timeout=300):
    """The first entries of the combinations whose run comes to a step; who does not is found out by the tests."""
    deadline = time.monotonic() + timeout
    entries = {}
    while len(entries) < len(combinations) and time.monotonic() < deadline:
        for combination in set(combinations) - set(entries):
            if found := lab.journal(combination, day, step):
                entries[combination] = found[0]
        time.sleep(0.5)
    return entries


def states(lab, combination, day):
    return lab.run(combination, day)["state"], {state for state, _ in lab.tasks(combination, day).values()}


def counts(lab, combination, day):
    journal = lab.journal(combination, day)
    return {step: sum(entry["step"] == step for entry in journal) for step in STEPS}


def once_but(**others):
    return {**dict.fromkeys(STEPS, 1), **others}


def assert_nothing_open(lab, combination, day):
    assert not [run for run in lab.zenml_runs(combination, day) if run["status"] in OPEN]


def assert_data_as_if_once(lab, combination, day, text):
    assert lab.partition(combination, day)["text"] == text
    assert lab.leftovers(combination, day) == []


def assert_every_line_belongs_to_its_run(lab, combination, day):
    own = {run["id"] for run in lab.zenml_runs(combination, day)}
    assert {entry["zenml_run"] for entry in lab.journal(combination, day)} <= own


def assert_tried_again(lab, combination, day):
    """The retry went on in the same run or, where that had been recorded as stopped, in one linked to it."""
    runs = lab.zenml_runs(combination, day)
    assert [run["status"] for run in runs] in (["completed"], ["stopped", "completed"])
    assert [run["original"] for run in runs] == [None, runs[0]["id"]][: len(runs)]
    assert_every_line_belongs_to_its_run(lab, combination, day)
    return "the retry completed in the same run or, if that had been recorded as stopped, in one linked to it"


def assert_never_mixed(lab, combination, days):
    ids = set()
    for day in days:
        assert lab.run(combination, day)["state"] == "success"
        (run,) = lab.zenml_runs(combination, day)
        ids.add(run["id"])
        assert run["status"] == "completed"
        assert counts(lab, combination, day) == once_but()
        assert {entry["zenml_run"] for entry in lab.journal(combination, day)} == {run["id"]}
        assert lab.partition(combination, day)["zenml_run"] == run["id"]
    assert len(ids) == len(days)


# ---------------------------------------------------------------- pause and unpause come first: the DAGs are new


@pytest.fixture(scope="module")
def unpaused(lab):
    scheduled = played(Row.PAUSE)
    for combination in COMBINATIONS:
        lab.pause(combination, paused=False)
    for combination in scheduled:
        lab.wait("the schedule's run", lambda c=combination: lab.api.runs(dag_of(c)))
    for paused in (True, False):
        for combination in scheduled:
            lab.pause(combination, paused=paused)
        time.sleep(3)
    for combination in scheduled:
        run_id = lab.api.runs(dag_of(combination))[0]["dag_run_id"]
        lab.wait(
            "the schedule's run ends",
            lambda c=combination, r=run_id: lab.api.run_state(dag_of(c), r) in {"success", "failed"},
            timeout=500,
        )


@plays(Row.PAUSE)
def test_pausing_brings_no_surprise_runs(lab, unpaused, combination, record):
    (run,) = lab.api.runs(dag_of(combination))
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    assert datetime.fromisoformat(run["logical_date"]).date() == yesterday
    assert run["state"] == "success"
    (zenml,) = lab.zenml_runs(combination)
    assert (zenml["status"], zenml["dag_run"]) == ("completed", run["dag_run_id"])
    written = lab.storage.glob(f"{dag_of(combination)}/*/partition.json")
    assert [path.parent.name for path in written] == [yesterday.isoformat()]
    record(
        Row.PAUSE,
        combination,
        airflow="with `catchup=False` the latest interval runs once; pausing again adds none",
        zenml="one completed run",
        data="one partition",
    )


# ---------------------------------------------------------------- a run, cleared as a whole, then from a step

DAY = "2026-01-05"


@pytest.fixture(scope="module")
def first_run(lab, unpaused):
    for combination in COMBINATIONS:
        lab.trigger(combination, DAY)
    settle(lab, DAY)
    return {c: (lab.zenml_runs(c, DAY), lab.partition(c, DAY), states(lab, c, DAY)) for c in COMBINATIONS}


@plays(Row.FIRST_RUN)
def test_a_first_run_is_one_run_in_both_systems(lab, first_run, combination, record):
    zenml, partition, (state, tasks) = first_run[combination]
    assert (state, tasks) == ("success", {"success"})
    (run,) = zenml
    assert run["status"] == "completed"
    assert run["steps"] == dict.fromkeys(STEPS, "completed")
    assert partition == {"zenml_run": run["id"], "text": "extract#1 transform#1 check#1 load#1"}
    record(Row.FIRST_RUN, combination, airflow="success", zenml="one completed run", data="one partition")


@pytest.fixture(scope="module")
def cleared_run(lab, first_run):
    for combination in COMBINATIONS:
        lab.clear(combination, DAY)
    time.sleep(2)
    settle(lab, DAY)
    return {c: (lab.zenml_runs(c, DAY), lab.partition(c, DAY), counts(lab, c, DAY)) for c in COMBINATIONS}


@plays(Row.CLEAR_RUN)
def test_a_cleared_run_is_a_new_linked_run(lab, cleared_run, combination, record):
    (first, second), partition, counted = cleared_run[combination]
    assert (first["status"], second["status"]) == ("completed", "completed")
    assert second["original"] == first["id"]
    assert counted == dict.fromkeys(STEPS, 2)
    assert partition == {"zenml_run": second["id"], "text": "extract#2 transform#2 check#2 load#2"}
    assert {path.stem for path in (lab.folder(combination, DAY) / "history").iterdir()} >= {
        first["id"],
        second["id"],
    }
    record(
        Row.CLEAR_RUN,
        combination,
        airflow="runs again, success",
        zenml="a new completed run, linked to the one it replaces",
        data="partition replaced in one move, the old one kept",
    )


@pytest.fixture(scope="module")
def cleared_step(lab, cleared_run):
    before = {}
    for combination in COMBINATIONS:
        before[combination] = lab.partition(combination, DAY)
        lab.tell(combination, DAY, "publish", wait_times=3)
        lab.clear(combination, DAY, [task_of(combination, "check")])
    meanwhile = {}
    for combination in COMBINATIONS:
        lab.wait(f"{combination} writes its partition", lambda c=combination: lab.leftovers(c, DAY))
        meanwhile[combination] = lab.partition(combination, DAY)
        lab.release(combination, DAY, "publish")
    settle(lab, DAY)
    return before, meanwhile


@plays(Row.CLEAR_STEP)
def test_a_cleared_step_reuses_what_lies_upstream(lab, cleared_step, combination, record):
    before, meanwhile = cleared_step
    assert meanwhile[combination] == before[combination]
    assert states(lab, combination, DAY) == ("success", {"success"})
    *_, replaced, last = lab.zenml_runs(combination, DAY)
    assert last["status"] == "completed"
    assert last["original"] == replaced["id"]
    if combination.endswith("pipeline"):
        assert last["steps"] == dict.fromkeys(STEPS, "completed")
        assert_data_as_if_once(lab, combination, DAY, "extract#3 transform#3 check#3 load#3")
        record(
            Row.CLEAR_STEP,
            combination,
            airflow="the one task runs again, success",
            zenml="a new completed run, every step run again",
            data="partition replaced in one move",
        )
        return
    ran = {"check", "load"}
    assert last["steps"] == {name: "completed" if name in ran else "cached" for name in STEPS}
    assert counts(lab, combination, DAY) == {name: 3 if name in ran else 2 for name in STEPS}
    assert_data_as_if_once(lab, combination, DAY, "extract#2 transform#2 check#3 load#3")
    record(
        Row.CLEAR_STEP,
        combination,
        airflow="only those tasks run, success",
        zenml="a new completed run: these steps completed, the others cached",
        data="partition replaced in one move",
    )


# ---------------------------------------------------------------- failures and retries

FAILS, RETRIES, VANISHES, UNREPORTED = "2026-01-06", "2026-01-07", "2026-01-08", "2026-01-09"


@pytest.fixture(scope="module")
def failures(lab, unpaused):
    for combination in played(Row.RAISES):
        lab.tell(combination, FAILS, "load", fail_times=9)
        lab.tell(combination, VANISHES, "check", vanish_times=9)
        lab.die_before_reporting(combination, UNREPORTED, "load")
        for day in (FAILS, VANISHES, UNREPORTED):
            lab.trigger(combination, day)
    for combination in played(Row.RETRY):
        lab.tell(combination, RETRIES, "transform", fail_times=1)
        lab.trigger(combination, RETRIES)
    settle(lab, FAILS, RETRIES, VANISHES, UNREPORTED, timeout=500)


@plays(Row.RAISES)
def test_a_step_that_raises_fails_both_runs_and_publishes_nothing(lab, failures, combination, record):
    assert lab.run(combination, FAILS)["state"] == "failed"
    task = task_of(combination, "load")
    assert lab.tasks(combination, FAILS)[task] == ("failed", 2)
    # A try that a full machine ends before its step begins has no time of its own.
    times = len(lab.journal(combination, FAILS, "load"))
    log = lab.log(combination, FAILS, task, 2)
    assert f"load was told to fail, time {times}" in log, log[-4000:]
    (run,) = lab.zenml_runs(combination, FAILS)
    assert run["status"] == "failed"
    assert run["steps"]["load"] == "failed"
    assert lab.partition(combination, FAILS) is None
    record(
        Row.RAISES,
        combination,
        airflow="failed, the step's error in the task's log",
        zenml="run failed, the same step failed",
        data="nothing published",
    )


@plays(Row.RETRY)
def test_an_automatic_retry_runs_the_step_again_and_no_other(lab, failures, combination, record):
    assert lab.run(combination, RETRIES)["state"] == "success"
    assert lab.tasks(combination, RETRIES)[task_of(combination, "transform")] == ("success", 2)
    (run,) = lab.zenml_runs(combination, RETRIES)
    assert run["status"] == "completed"
    assert run["tries"] == {name: ["completed"] for name in STEPS} | {"transform": ["retried", "completed"]}
    assert counts(lab, combination, RETRIES) == once_but(transform=2)
    assert_data_as_if_once(lab, combination, RETRIES, "extract#1 transform#2 check#1 load#1")
    record(
        Row.RETRY,
        combination,
        airflow="up_for_retry, then success",
        zenml="the same run completed, the step's first try recorded as retried",
        data="as if it ran once",
    )


@pytest.fixture(scope="module")
def reconciled(lab, failures):
    open_before = {c: [run["status"] for run in lab.zenml_runs(c, VANISHES)] for c in played(Row.NO_RECORD)}
    lab.reconcile()
    return open_before


@plays(Row.NO_RECORD)
def test_a_process_that_ends_well_without_a_record_is_a_failure(lab, reconciled, combination, record):
    assert lab.run(combination, VANISHES)["state"] == "failed"
    assert reconciled[combination] == ["running"]
    (run,) = lab.zenml_runs(combination, VANISHES)
    assert run["status"] == "stopped"
    assert "has ended: failed" in run["reason"]
    assert run["steps"]["check"] == "stopped"
    assert lab.partition(combination, VANISHES) is None
    record(
        Row.NO_RECORD,
        combination,
        airflow="failed",
        zenml="run open until reconciled, then stopped with the reason",
        data="nothing published",
    )


@plays(Row.UNREPORTED)
def test_a_step_whose_task_died_before_reporting_is_not_run_twice(lab, failures, combination, record):
    assert lab.run(combination, UNREPORTED)["state"] == "success"
    assert lab.tasks(combination, UNREPORTED)[task_of(combination, "load")] == ("success", 2)
    (run,) = lab.zenml_runs(combination, UNREPORTED)
    assert run["status"] == "completed"
    assert counts(lab, combination, UNREPORTED) == once_but()
    assert_data_as_if_once(lab, combination, UNREPORTED, "extract#1 transform#1 check#1 load#1")
    record(
        Row.UNREPORTED,
        combination,
        airflow="up_for_retry, then success",
        zenml="one completed run, the step's record taken as it is",
        data="as if it ran once",
    )


# ---------------------------------------------------------------- stopped by the operator

STOPPED, RESTARTED = "2026-01-10", "2026-01-11"


@pytest.fixture(scope="module")
def stopped(lab, unpaused):
    combinations = played(Row.MARK_FAILED)
    for combination in combinations:
        lab.tell(combination, STOPPED, "transform", wait_times=1)
        lab.tell(combination, RESTARTED, "transform", wait_times=1)
        lab.trigger(combination, STOPPED)
        lab.trigger(combination, RESTARTED)
    entries = {day: reach(lab, combinations, day, "transform") for day in (STOPPED, RESTARTED)}
    for combination in combinations:
        if combination in entries[STOPPED]:
            lab.mark_failed(combination, STOPPED, task_of(combination, "transform"))
        if combination in entries[RESTARTED]:
            lab.clear(combination, RESTARTED, [task_of(combination, "transform")])
        # Eight stops in the same second would fight for two cores and miss Airflow's five seconds.
        time.sleep(3)
    settle(lab, STOPPED, RESTARTED)
    return entries


@plays(Row.MARK_FAILED)
def test_marking_failed_stops_the_run_in_zenml(lab, stopped, combination, record):
    lab.wait_gone("the step's process", stopped[STOPPED][combination]["pid"])
    assert lab.run(combination, STOPPED)["state"] == "failed"
    (run,) = lab.zenml_runs(combination, STOPPED)
    if run["status"] == "stopping":
        # Killed after five seconds, before it had said all: the page says that this may be.
        lab.reconcile()
        (run,) = lab.zenml_runs(combination, STOPPED)
    assert run["status"] == "stopped"
    assert run["steps"]["transform"] == "stopped"
    assert run["reason"]
    assert lab.partition(combination, STOPPED) is None
    assert lab.leftovers(combination, STOPPED) == []
    record(
        Row.MARK_FAILED,
        combination,
        airflow="failed",
        zenml="run and step stopped, with the reason",
        data="nothing half-written",
    )


@plays(Row.CLEAR_RUNNING)
def test_clearing_a_running_task_stops_the_old_attempt(lab, stopped, combination, record):
    lab.wait_gone("the old attempt's process", stopped[RESTARTED][combination]["pid"])
    assert states(lab, combination, RESTARTED) == ("success", {"success"})
    assert lab.tasks(combination, RESTARTED)[task_of(combination, "transform")] == ("success", 2)
    old, *_, new = lab.zenml_runs(combination, RESTARTED)
    assert old["status"] == "stopped"
    assert new["status"] == "completed"
    assert new["original"] == old["id"]
    assert counts(lab, combination, RESTARTED)["transform"] == 2
    assert lab.partition(combination, RESTARTED)["zenml_run"] == new["id"]
    assert_every_line_belongs_to_its_run(lab, combination, RESTARTED)
    record(
        Row.CLEAR_RUNNING,
        combination,
        airflow="the old try is ended, the next one succeeds",
        zenml="old run stopped, a new one linked to it completed",
        data="as if it ran once",
    )


# ---------------------------------------------------------------- killed outright

KILLED_TASK, KILLED_WORKER, KILLED_SCHEDULER = "2026-01-12", "2026-01-13", "2026-01-14"


@pytest.fixture(scope="module")
def killed(lab, unpaused):
    tasks, workers = played(Row.KILL_TASK), played(Row.KILL_WORKER)
    for combination in tasks:
        lab.tell(combination, KILLED_TASK, "publish", wait_times=1)
        lab.trigger(combination, KILLED_TASK)
    for combination in workers:
        lab.tell(combination, KILLED_WORKER, "transform", wait_times=1)
        lab.trigger(combination, KILLED_WORKER)
    halves, entries = {}, {KILLED_TASK: reach(lab, tasks, KILLED_TASK, "load")}
    for combination, entry in entries[KILLED_TASK].items():
        lab.wait(f"{combination} writes its partition", lambda c=combination: lab.leftovers(c, KILLED_TASK))
        lab.kill(lab.task_process(entry, combination))
        halves[combination] = lab.partition(combination, KILLED_TASK)
    entries[KILLED_WORKER] = reach(lab, workers, KILLED_WORKER, "transform")
    for combination, entry in entries[KILLED_WORKER].items():
        lab.kill(lab.task_process(entry, combination).parent())
    settle(lab, KILLED_TASK, KILLED_WORKER)
    lab.reconcile()
    return entries, halves


@plays(Row.KILL_TASK)
def test_a_killed_task_is_tried_again(lab, killed, combination, record):
    entries, halves = killed
    lab.wait_gone("the steps' process", entries[KILLED_TASK][combination]["pid"])
    assert halves[combination] is None
    assert lab.run(combination, KILLED_TASK)["state"] == "success"
    assert lab.tasks(combination, KILLED_TASK)[task_of(combination, "load")] == ("success", 2)
    assert counts(lab, combination, KILLED_TASK) == once_but(load=2)
    assert_data_as_if_once(lab, combination, KILLED_TASK, "extract#1 transform#1 check#1 load#2")
    record(
        Row.KILL_TASK,
        combination,
        airflow="up_for_retry, then success",
        zenml=assert_tried_again(lab, combination, KILLED_TASK),
        data="no partition until the retry has written a whole one",
    )


@plays(Row.KILL_WORKER)
def test_a_task_whose_worker_was_killed_is_tried_again(lab, killed, combination, record):
    entries, _ = killed
    # No step outlives the worker that Airflow has given up.
    lab.wait_gone("the steps' process", entries[KILLED_WORKER][combination]["pid"])
    assert lab.run(combination, KILLED_WORKER)["state"] == "success"
    assert lab.tasks(combination, KILLED_WORKER)[task_of(combination, "transform")] == ("success", 2)
    # A branch that ran beside it in the same process may have been running, too.
    side = counts(lab, combination, KILLED_WORKER)["side"]
    assert counts(lab, combination, KILLED_WORKER) == once_but(transform=2, side=side)
    assert_data_as_if_once(lab, combination, KILLED_WORKER, "extract#1 transform#2 check#1 load#1")
    record(
        Row.KILL_WORKER,
        combination,
        airflow="up_for_retry, then success",
        zenml=assert_tried_again(lab, combination, KILLED_WORKER),
        data="as if it ran once",
    )


@pytest.fixture(scope="module")
def scheduler_killed(lab, killed):
    combinations = played(Row.KILL_SCHEDULER)
    for combination in combinations:
        lab.tell(combination, KILLED_SCHEDULER, "transform", wait_times=1)
        lab.trigger(combination, KILLED_SCHEDULER)
    reach(lab, combinations, KILLED_SCHEDULER, "transform")
    old = lab.scheduler()
    lab.kill(old)
    lab.wait("a new scheduler", lambda: (new := lab.scheduler()) and new.pid != old.pid)
    for combination in combinations:
        lab.release(combination, KILLED_SCHEDULER, "transform")
    settle(lab, KILLED_SCHEDULER)
    lab.reconcile()


@plays(Row.KILL_SCHEDULER)
def test_a_killed_scheduler_costs_no_run(lab, scheduler_killed, combination, record):
    day = KILLED_SCHEDULER
    assert lab.run(combination, day)["state"] == "success"
    assert_nothing_open(lab, combination, day)
    assert lab.zenml_runs(combination, day)[-1]["status"] == "completed"
    assert lab.partition(combination, day)["zenml_run"] == lab.zenml_runs(combination, day)[-1]["id"]
    last = {name: f"{name}#{count}" for name, count in counts(lab, combination, day).items()}
    text = " ".join(last[name] for name in ("extract", "transform", "check", "load"))
    assert_data_as_if_once(lab, combination, day, text)
    assert_every_line_belongs_to_its_run(lab, combination, day)
    record(
        Row.KILL_SCHEDULER,
        combination,
        airflow="success: what was running finishes or is tried again",
        zenml="last run completed, none open",
        data="as if it ran once",
    )


# ---------------------------------------------------------------- side by side

AT_ONCE = ["2026-01-15", "2026-01-16", "2026-01-17", "2026-01-18"]


@pytest.fixture(scope="module")
def at_once(lab, scheduler_killed):
    for day in AT_ONCE:
        for combination in played(Row.FOUR_AT_ONCE):
            lab.trigger(combination, day)
    settle(lab, *AT_ONCE, timeout=500)


@plays(Row.FOUR_AT_ONCE)
def test_runs_at_once_are_never_mixed(lab, at_once, combination, record):
    assert_never_mixed(lab, combination, AT_ONCE)
    record(
        Row.FOUR_AT_ONCE,
        combination,
        airflow="all succeed",
        zenml="one run each, no step under another's",
        data="one partition each",
    )


# ---------------------------------------------------------------- another version in the meantime

IN_FLIGHT, AFTERWARDS = "2026-01-19", "2026-01-20"


@pytest.fixture(scope="module")
def redeployed(lab, at_once):
    combinations = played(Row.REDEPLOY)
    for combination in combinations:
        lab.tell(combination, IN_FLIGHT, "transform", wait_times=1)
        lab.trigger(combination, IN_FLIGHT)
    reach(lab, combinations, IN_FLIGHT, "transform")
    before, snapshot = lab.version, lab.deploy()
    # Else the next run would belong to the old version.
    lab.wait_parsed(combinations)
    for combination in combinations:
        lab.tell(combination, AFTERWARDS, "transform", wait_times=1)
        lab.trigger(combination, AFTERWARDS)
    reach(lab, combinations, AFTERWARDS, "transform")
    for combination in combinations:
        for day in (IN_FLIGHT, AFTERWARDS):
            lab.release(combination, day, "transform")
    settle(lab, IN_FLIGHT, AFTERWARDS, timeout=500)
    return before, snapshot


@plays(Row.REDEPLOY)
def test_a_run_in_flight_finishes_on_its_own_version(lab, redeployed, combination, record):
    before, snapshot = redeployed
    for day, version in ((IN_FLIGHT, before), (AFTERWARDS, before + 1)):
        assert lab.run(combination, day)["state"] == "success"
        assert {entry["version"] for entry in lab.journal(combination, day)} == {version}
        (run,) = lab.zenml_runs(combination, day)
        assert run["status"] == "completed"
        assert (run["snapshot"] == snapshot) is (day == AFTERWARDS)
    record(
        Row.REDEPLOY,
        combination,
        airflow="both runs succeed",
        zenml="the run in flight on its own snapshot, the next on the new one",
        data="each from its own code",
    )


@plays(Row.TWO_AT_ONCE)
def test_two_runs_at_once_are_never_mixed(lab, redeployed, combination, record):
    # Each was held in the middle until the other was there, too.
    assert_never_mixed(lab, combination, [IN_FLIGHT, AFTERWARDS])
    record(
        Row.TWO_AT_ONCE,
        combination,
        airflow="both succeed",
        zenml="two runs, no step under the other's",
        data="two partitions",
    )


def test_nothing_is_open_once_all_has_ended(lab, redeployed):
    lab.reconcile()
    for combination in COMBINATIONS:
        assert set(lab.run_states(combination).values()) <= {"success", "failed"}
        assert [run["key"] for run in lab.zenml_runs(combination) if run["status"] in OPEN] == []
    assert "->" not in lab.reconcile()


def test_the_documented_table_is_what_was_observed(undocumented):
    assert not undocumented
