"""Python processes that start within milliseconds: forks of one that has imported the heavy libraries.

A command of ``mlops`` spends two to four CPU-seconds on importing ZenML, pandas and scikit-learn, and a tenth of
that on its work. :func:`run` is what ``subprocess.run([sys.executable, ...])`` is, with those imports done once
for all workers of a run. Nothing of the project is imported beforehand, and nothing that a variable of the
environment decides on import: the fork imports the project anew, with its own environment, arguments, folder and
exit.

There are two kinds of them: one for commands of ``mlops`` and steps, and one that has Airflow and none of these,
for what parses DAG files. Where the start of a process, its imports or its signals are the subject, a test starts
a real one.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from functools import cache
from pathlib import Path

DECIDES_ON_IMPORT = ("AIRFLOW", "ZENML_", "MLOPS_", "MLFLOW_")
"""Beginnings of variables that a library reads when it is imported: the first process has none of the caller's."""
OURS = ("zenml_airflow", "zenml_mlops", "zenml_pipelines", "governance")
MORE_MODULES = (
    "alembic.command",
    "fsspec.implementations.chained",
    "httpx",
    "jinja2",
    "markdown_it",
    "mlflow.store.tracking.sqlalchemy_store",
    "pandera.pandas",
    "psutil",
    "rich.console",
    "rich.progress",
    "rich.table",
    "scipy.stats",
    "typer.testing",
    "yaml",
    "zenml.cli.cli",
)
"""What commands import beyond what a task of the project does."""
AIRFLOW_MODULES = ("airflow.sdk", "airflow.dag_processing.dagbag")
"""What a process that parses DAG files begins with. The variables that Airflow reads are those of the session."""


class Process:
    """A process that was started, as ``subprocess.Popen`` has it."""

    def __init__(self, arguments, *, env=None, cwd=None, stdin="", merged=False, kind="zenml"):
        self.args = [str(word) for word in arguments]
        self.returncode = None
        kinds = range(2 if merged else 3)
        self._files = [tempfile.TemporaryFile("w+", errors="replace") for _ in kinds]  # noqa: SIM115
        self._files[0].write(stdin)
        self._files[0].seek(0)
        order = {
            "arguments": self.args,
            "environment": {str(k): str(v) for k, v in (os.environ if env is None else env).items()},
            "cwd": str(cwd or Path.cwd()),
        }
        self._asked = socket.socket(socket.AF_UNIX)
        self._asked.connect(_first(kind))
        streams = [file.fileno() for file in self._files]
        socket.send_fds(self._asked, [b"!"], streams if not merged else [*streams, streams[-1]])
        self._asked.sendall(json.dumps(order).encode() + b"\n")
        self.pid = self._answer()

    def poll(self):
        return self._wait(0)

    def communicate(self, timeout=None):
        """Wait for its end; return what it printed: of the standard output, and of the standard error.

        Raises:
            subprocess.TimeoutExpired: If it has not ended in time.
        """
        if self._wait(timeout) is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        texts = []
        for file in self._files[1:]:
            file.seek(0)
            texts.append(file.read())
            file.close()
        return (*texts, "")[:2]

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def _answer(self):
        """Read a number and the end of its line, and nothing of what follows."""
        digits = b""
        while (byte := self._asked.recv(1)) != b"\n":
            assert byte, "the warm process has died"
            digits += byte
        return int(digits)

    def _wait(self, timeout):
        if self.returncode is None and select.select([self._asked], [], [], timeout)[0]:
            self.returncode = self._answer()
            self._asked.close()
        return self.returncode


def run(arguments, *, env=None, cwd=None, stdin="", timeout=900, check=False, kind="zenml"):
    """Run Python as ``python ARGUMENTS`` would: ``-m MODULE ...``, ``-c CODE ...`` or ``FILE ...``,
    with its warnings off.

    Returns:
        A ``subprocess.CompletedProcess`` with what it printed, as text.

    Raises:
        subprocess.TimeoutExpired: If it has not ended in time; it is killed.
        subprocess.CalledProcessError: If ``check`` is set and it failed.
    """
    process = Process(arguments, env=env, cwd=cwd, stdin=stdin, kind=kind)
    try:
        texts = process.communicate(timeout)
    except BaseException:
        process.kill()
        raise
    done = subprocess.CompletedProcess(process.args, process.returncode, *texts)
    if check:
        done.check_returncode()
    return done


PROGRAMS = {"mlops": ["-m", "zenml_mlops.cli.app"], "zenml": ["-c", "from zenml.cli.cli import cli; cli()"]}
ASKING = """#!{python} -SE
import json, os, socket, sys
asked = socket.socket(socket.AF_UNIX)
asked.connect({path!r})
socket.send_fds(asked, [b"!"], [0, 1, 2])
order = dict(arguments={begin!r} + sys.argv[1:], environment=dict(os.environ), cwd=os.getcwd())
asked.sendall(json.dumps(order).encode() + bytes([10]))
answers = asked.makefile()
answers.readline()
sys.exit(int(answers.readline()) % 256)
"""


def programs():
    """A folder for the front of a shell's ``PATH``: ``mlops`` and ``zenml``, which start warm from there."""
    return Path(_first("zenml")).with_name("bin")


@cache
def _first(kind):
    """The socket on which the process listens that is forked.

    Raises:
        TimeoutError: If it does not come to listen.
        FileNotFoundError: If it has failed.
    """
    folder = begin(kind)
    deadline = time.monotonic() + 300
    while not folder.exists():
        if time.monotonic() > deadline:
            raise TimeoutError("The warm process has not started.")
        time.sleep(0.02)
    return str(folder / "socket")


def begin(kind):
    """Start the process that is forked, where no other worker of the run has, and do not wait until it listens.

    Returns:
        The folder that is there once it listens. It ends with the run.
    """
    run = Path(os.environ["TESTS_RUN"])
    folder = run / f"warm-{kind}"
    made = run / f"begun-{kind}"
    try:
        made.mkdir()
    except FileExistsError:
        return folder
    for name, words in PROGRAMS.items():
        program = made / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(ASKING.format(python=sys.executable, path=str(folder / "socket"), begin=words))
        program.chmod(0o755)
    decides = DECIDES_ON_IMPORT if kind == "zenml" else ()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(decides)}
    if kind == "airflow":
        environment["AIRFLOW_HOME"] = str(made / "airflow")
    subprocess.Popen(
        [sys.executable, "-W", "ignore", __file__, kind, os.environ["TESTS_RUN_PID"], str(made), str(folder)],
        env=environment,
        cwd=made,
        stdin=subprocess.DEVNULL,
    )
    return folder


def _serve(kind, run, made, folder):
    """Import, listen, and fork for each that asks; ends with the process of the run.

    Its folder gets its name also where it fails, without the socket.
    """
    ended = os.pidfd_open(int(run))
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    before = dict(os.environ)
    if kind == "zenml":
        _import_libraries()
    else:
        for name in AIRFLOW_MODULES:
            importlib.import_module(name)
    assert threading.active_count() == 1, "a thread would not survive the fork"
    os.environ.clear()
    os.environ.update(before)
    for name in [name for name in sys.modules if name.split(".")[0] in OURS]:
        del sys.modules[name]
    del sys.path[0]
    gc.freeze()  # a collection in a fork would write to, and so copy, all of it
    waiting = selectors.DefaultSelector()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{made}/socket")
    listener.listen(64)
    waiting.register(listener, selectors.EVENT_READ)
    waiting.register(ended, selectors.EVENT_READ)
    asking = {}
    Path(made).rename(folder)
    while True:
        for key, _ in waiting.select():
            if key.fd == ended:
                return
            if key.fileobj is listener:
                connection, _ = listener.accept()
                child = _fork(connection, listener, waiting, asking, ended)
                handle = os.pidfd_open(child)
                asking[handle] = (child, connection)
                waiting.register(handle, selectors.EVENT_READ)
            else:
                waiting.unregister(key.fd)
                os.close(key.fd)
                child, connection = asking.pop(key.fd)
                code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                with contextlib.suppress(OSError), connection:
                    connection.sendall(f"{code}\n".encode())


def _import_libraries():
    """Import what is to be shared, as a local run of the project would find it."""
    preload = importlib.import_module("zenml_airflow.runtime.preload")
    settings = {
        **preload.NO_THREADS,
        "ZENML_ANALYTICS_OPT_IN": "false",
        "ZENML_ENABLE_REPO_INIT_WARNINGS": "false",
        "ZENML_ENABLE_RICH_TRACEBACK": "false",
        "ZENML_LOGGING_VERBOSITY": "WARN",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "OMP_NUM_THREADS": "1",
    }
    os.environ.update(settings)
    # What looks into every module that is there comes while there are few: 2 of 11 seconds.
    for name in (*preload.SEARCHES_EVERY_MODULE, *preload.MODULES, *MORE_MODULES):
        importlib.import_module(name)
    _read_migrations_once()
    preload._prepare_zenml()
    preload._rehearse()


def _read_migrations_once():
    """Keep the migrations of ZenML, 140 files that every store otherwise reads anew."""
    from alembic.script import ScriptDirectory

    read, known = ScriptDirectory.from_config, {}

    def from_config(config):
        place = config.get_main_option("script_location")
        return known.get(place) or known.setdefault(place, read(config))

    ScriptDirectory.from_config = from_config


def _fork(connection, listener, waiting, asking, ended):
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    order = json.loads(connection.makefile().readline())
    child = os.fork()
    if child:
        for stream in streams:
            os.close(stream)
        connection.sendall(f"{child}\n".encode())
        return child
    waiting.close()
    listener.close()
    connection.close()
    os.close(ended)
    for handle, (_, other) in asking.items():
        os.close(handle)
        other.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os._exit(_play(**order))


def _play(arguments, environment, cwd):
    """Be the process that was asked for; return its exit code."""
    os.chdir(cwd)
    warm = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ.clear()
    os.environ.update(environment)
    own = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part]
    sys.path[:] = own + [part for part in sys.path if part not in warm or part in own]
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        buffering = {"buffering": 1} if name == "stderr" else {}
        setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False, **buffering))
        setattr(sys, f"__{name}__", getattr(sys, name))
    warnings.resetwarnings()
    warnings.simplefilter("ignore")
    sys.orig_argv = [sys.executable, *arguments]
    code = 0
    try:
        code = _main(arguments)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if end.code is not None and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
    except KeyboardInterrupt:
        code = 130
        traceback.print_exc()
    except BaseException:  # noqa: BLE001 - as an interpreter does
        code = 1
        traceback.print_exc()
    with contextlib.suppress(Exception):
        threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(ValueError, OSError):
            stream.flush()
    return code & 0xFF


def _main(words):
    if words[0] == "-m":
        sys.argv = [words[1], *words[2:]]
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    elif words[0] == "-c":
        sys.argv = ["-c", *words[2:]]
        sys.path.insert(0, "")
        main = sys.modules["__main__"] = type(sys)("__main__")
        exec(compile(words[1], "<string>", "exec"), vars(main))
    else:
        sys.argv = list(words)
        sys.path.insert(0, str(Path(words[0]).resolve().parent))
        runpy.run_path(words[0], run_name="__main__")
    return 0


if __name__ == "__main__":
    try:
        _serve(*sys.argv[1:])
    finally:
        *_, made, folder = sys.argv
        with contextlib.suppress(OSError):
            Path(made).rename(folder)
