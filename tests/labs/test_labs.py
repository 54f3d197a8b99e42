"""What the other suites stand on: a warm process is as a fresh one, and the report of seconds adds up."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from labs import times, warm

CASES = {
    "a number": "import sys; sys.exit(3)",
    "a sentence": "import sys; sys.exit('no')",
    "an error": "raise ValueError('x')",
    "both streams": "import sys; print('out'); print('err', file=sys.stderr)",
    "at the end": "import atexit; atexit.register(print, 'bye')",
    "its input": "import sys; print(sys.stdin.read().upper())",
    "a thread": "import threading as t, time; t.Thread(target=lambda: (time.sleep(0.1), print('late'))).start()",
    "its name": "import sys; print(__name__, sys.argv, sys.path[0])",
    "its place": "import os; print(os.getcwd(), sorted(n for n in os.environ if n.startswith('LAB_')))",
}


@pytest.mark.parametrize("code", CASES.values(), ids=CASES)
def test_it_does_what_a_fresh_process_does(code, tmp_path):
    environment = {**os.environ, "LAB_ONE": "1"}
    command = ["-c", code, "one", "two"]
    fresh = subprocess.run(
        [sys.executable, *command], input="text", env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    found = warm.run(command, stdin="text", env=environment, cwd=tmp_path)
    assert (found.returncode, found.stdout) == (fresh.returncode, fresh.stdout)
    assert found.stderr.splitlines()[-1:] == fresh.stderr.splitlines()[-1:]


def test_nothing_of_the_project_is_there_before_it_is_imported():
    tops = "{n.split('.')[0] for n in sys.modules}"
    code = f"import json, sys; print(json.dumps(sorted({tops} & set({warm.OURS!r}))))"
    for kind in ("zenml", "airflow"):
        assert json.loads(warm.run(["-c", code], kind=kind).stdout) == []


def test_signals_reach_it_and_two_do_not_share_what_they_set():
    processes = [warm.Process(["-c", f"import os, time; os.environ['LAB'] = '{n}'; time.sleep(60)"]) for n in "12"]
    assert [process.poll() for process in processes] == [None, None]
    os.kill(processes[0].pid, signal.SIGTERM)
    processes[1].kill()
    begun = time.monotonic()
    for process in processes:
        process.communicate(timeout=20)
    assert time.monotonic() - begun < 20
    assert [process.returncode for process in processes] == [-signal.SIGTERM, -signal.SIGKILL]
    assert "LAB" not in os.environ
    with pytest.raises(subprocess.TimeoutExpired):
        warm.run(["-c", "import time; time.sleep(60)"], timeout=0.2)


def test_a_shell_finds_the_commands_and_their_exit_codes(tmp_path):
    path = f"{warm.programs()}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "MLOPS_STATE_DIR": str(tmp_path)}
    script = "mlops policy schema | head -c 1; mlops no-such-command"
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "{")
    assert "no-such-command" in done.stderr


class Report:
    def __init__(self, nodeid, duration):
        self.nodeid, self.duration = nodeid, duration


def test_seconds_add_up_by_suite_and_over_runs(tmp_path, monkeypatch):
    monkeypatch.setenv(times.KEPT_ENV, str(tmp_path / "times.json"))
    found = times.seconds(
        [Report("tests/a/test_x.py::test_one", 1.5), Report("tests/a/test_y.py::test_two[b/c]", 2)]
    )
    assert found == {"a": 3.5}
    assert times.kept(found) == {"a": 3.5}
    both = times.kept({"a": 1.0, "b": 9.0})
    assert both == {"a": 4.5, "b": 9.0}
    assert list(times.lines(both, {"a": 5, "b": 6})) == ["    9.0 s of    6  b  OVER", "    4.5 s of    5  a"]
