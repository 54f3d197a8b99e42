"""The log keeps every entry in its order, whoever writes at the same time and whoever is killed meanwhile."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from labs import warm

from zenml_mlops.audit import AuditError, Outcome, open_log, record, verify
from zenml_mlops.audit.entries import Event
from zenml_mlops.audit.log import AUDIT_LOG_ENV, RECOVERED, FileLog, ObjectLog


def event(text="x"):
    return Event(actor="user:anna", action="test", subject=text, outcome=Outcome.DONE, verdicts=({"p": text},))


def write_many(path, count, name):
    log = open_log(str(path))
    for number in range(count):
        log.append(event(f"{name}/{number}"))


def subjects(log):
    return [json.loads(line)["subject"] for line in log.lines()]


WRITER = """
import sys
from zenml_mlops.audit import open_log
from zenml_mlops.audit.entries import Event
path, name, count = sys.argv[1:]
log = open_log(path)
for number in range(int(count)):
    event = Event(actor="user:anna", action="test", subject=f"{name}/{number}", outcome="done")
    print(log.append(event).number, flush=True)
"""


def writer(path, name, count):
    """A process that appends events and tells the number of each entry that it made."""
    return warm.Process(["-c", WRITER, path, name, count])


def test_four_threads_make_one_chain(tmp_path):
    path = tmp_path / "log.jsonl"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: write_many(path, 500, name), "abcd"))
    found = verify(FileLog(path).lines())
    assert (found.whole, found.entries, found.head.number) == (True, 2000, 2000)
    written = subjects(FileLog(path))
    for name in "abcd":
        assert [s for s in written if s.startswith(name)] == [f"{name}/{n}" for n in range(500)]


def test_four_processes_make_one_chain(tmp_path):
    path = tmp_path / "log.jsonl"
    writers = [writer(path, name, 100) for name in "abcd"]
    for one in writers:
        one.communicate()
    assert [one.returncode for one in writers] == [0] * 4
    found = verify(FileLog(path).lines())
    assert (found.whole, found.entries) == (True, 400)
    assert len(set(subjects(FileLog(path)))) == 400


def test_an_unfinished_line_of_any_length_is_moved_aside_and_told(tmp_path):
    whole = FileLog(tmp_path / "whole")
    for number in range(3):
        whole.append(event(f"{number}"))
    content = whole.path.read_bytes()
    before = content[: content[:-1].rfind(b"\n") + 1]
    for cut in range(len(before) + 1, len(content), 7):
        log = FileLog(tmp_path / f"cut-{cut}" / "log")
        log.path.parent.mkdir()
        log.path.write_bytes(content[:cut])
        assert verify(log.lines()).broken == 3
        log.append(event("after"))
        found = verify(log.lines())
        assert (found.whole, found.entries) == (True, 4)
        assert log.path.read_bytes().startswith(before)
        (leftover,) = log.path.parent.glob("log.unfinished-*")
        assert leftover.read_bytes() == content[len(before) : cut]
        assert [json.loads(line)["action"] for line in log.lines()] == ["test", "test", RECOVERED, "test"]


def test_the_very_first_line_may_be_unfinished(tmp_path):
    log = FileLog(tmp_path / "log")
    log.path.write_bytes(b'{"action":"te')
    log.append(event())
    assert verify(log.lines()).entries == 2


def test_killed_writers_cost_no_entry_that_was_acknowledged(tmp_path):
    path = tmp_path / "log"
    path.touch()
    acknowledged = 0
    for names in ("ab", "cd", "ef"):
        writers = [writer(path, name, 10**9) for name in names]
        while not all(f'"{name}/1"' in path.read_text() for name in names):
            assert [one.poll() for one in writers] == [None, None]
            time.sleep(0.01)
        time.sleep(0.2)
        for one in writers:
            one.kill()
            told, _ = one.communicate()
            acknowledged = max([acknowledged, *(int(line) for line in told.splitlines())])
    FileLog(path).append(event())
    found = verify(FileLog(path).lines())
    assert found.whole
    assert found.entries > acknowledged > 10


def test_a_log_that_cannot_be_written_is_an_error_with_the_way_out(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AuditError, match=r"cannot be written: .*Nothing is done without an entry.*storage\.audit"):
        FileLog(tmp_path / "file" / "log").append(event())


def test_nothing_is_added_after_a_damaged_entry(tmp_path):
    log = FileLog(tmp_path / "log")
    log.append(event())
    log.path.write_bytes(log.path.read_bytes().replace(b"anna", b" anna"))
    log.path.write_bytes(log.path.read_bytes().replace(b'"actor"', b'"aktor"'))
    before = log.path.read_bytes()
    with pytest.raises(AuditError, match=r"The last entry .* is damaged"):
        log.append(event())
    assert log.path.read_bytes() == before


def test_an_entry_longer_than_a_block_is_found_again(tmp_path):
    log = FileLog(tmp_path / "log")
    for _ in range(2):
        log.append(event("x" * 200_000))
    assert verify(log.lines()).entries == 2


@pytest.mark.parametrize("kind", ["memory", "local"])
def test_objects_make_one_chain_too(tmp_path, kind):
    if kind == "memory":
        log = open_log(f"memory://audit-{tmp_path.name}")
        assert isinstance(log, ObjectLog)
    else:
        log = ObjectLog(f"file://{tmp_path}/audit")
        log._system.mkdirs(log._folder)
    for number in range(20):
        log.append(event(f"{number}"))
    assert verify(log.lines()).entries == 20
    names = log._names()
    log._system.rm_file(names[7])
    assert verify(log.lines()).broken == 8


def test_a_writer_that_comes_second_takes_the_next_number(monkeypatch):
    log = open_log("memory://audit-race")
    log.append(event("first"))
    real, stale = log._names, log._names()
    log.append(event("second"))
    answers = iter([stale])
    monkeypatch.setattr(log, "_names", lambda: next(answers, None) or real())
    assert log.append(event("third")).number == 3
    assert verify(log.lines()).entries == 3
    assert subjects(log) == ["first", "second", "third"]


def test_without_a_configured_log_nothing_is_recorded(monkeypatch):
    monkeypatch.delenv(AUDIT_LOG_ENV, raising=False)
    assert record("test", "x", Outcome.DONE) is None


def test_a_recorded_event_names_the_user_and_leaves_out_empty_links(monkeypatch, tmp_path):
    monkeypatch.setenv(AUDIT_LOG_ENV, str(tmp_path / "log"))
    head = record("test", "x", Outcome.DONE, links={"zenml_run": "1", "commit": None})
    (line,) = FileLog(tmp_path / "log").lines()
    entry = json.loads(line)
    assert entry["actor"].startswith("user:")
    assert entry["links"] == {"zenml_run": "1"}
    assert (entry["number"], entry["hash"]) == (head.number, head.hash)
