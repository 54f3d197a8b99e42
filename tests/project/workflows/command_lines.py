"""The command lines of the workflows, as the parser of ``mlops`` reads them."""

import shlex

import typer
from typer.core import TyperGroup
from workflow_files import VARIABLE

from zenml_mlops.cli.app import app

SAMPLES = {
    "BUNDLE": "s3://bucket/bundle",
    "FIRST": "2026-01-05",
    "KEY": "/tmp/key",
    "LAST": "2026-01-11",
    "LOGINS": "/tmp/logins",
    "MODEL": "readmission_risk",
    "PLATFORM_SECRET": "platform/staging",
    "REASON": "Why.",
    "REPROCESS": "failed",
    "RUNNER_TEMP": "/tmp",
    "SECRET": "platform/staging",
    "TARGET": "staging",
    "VERSION": "3",
}
APP = typer.main.get_command(app)
UsageError = typer.BadParameter.__base__
"""What the parser raises; typer brings a parser of its own."""


def find(call):
    """The command that a line calls, and the words that are left for it."""
    words = [VARIABLE.sub(lambda found: SAMPLES[found[1]], word) for word in shlex.split(call)]
    command, path = APP, []
    while isinstance(command, TyperGroup):
        path.append(words.pop(0))
        assert path[-1] in command.commands, f"no command {path[-1]!r} in: {call}"
        command = command.commands[path[-1]]
    return command, path, words


def parse(call):
    """Give a command line to the parser of the command line; it raises at what it does not know."""
    command, _, words = find(call)
    return command.make_context(command.name, words)


def shape(call):
    """What a line does, whatever it calls its variables: the command and its options."""
    _, path, words = find(call)
    return " ".join(path), frozenset(word for word in words if word.startswith("--"))
