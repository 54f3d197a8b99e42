"""The workflows as data: their jobs, their steps, the commands that their scripts call."""

import re
from dataclasses import dataclass

import yaml
from labs import ROOT

FILES = sorted((ROOT / ".github").rglob("*.yml"))
WORKFLOWS = [path for path in FILES if path.parent.name == "workflows"]
ACTIONS = [path for path in FILES if path.name == "action.yml"]
MAKEFILE = (ROOT / "Makefile").read_text()
PLATFORM = re.search(r"^PLATFORM := (.*)$", MAKEFILE, re.MULTILINE)[1].split()
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))

# A word of a command line: quoted, or without anything that ends a simple command.
_WORDS = r"""((?:"[^"]*"|'[^']*'|[^"'\s;|&<>()]+|[ \t]+)+)"""
MLOPS = re.compile(r"(?<![\w/.-])(?:\.venv/bin/)?mlops[ \t]" + _WORDS)
MAKE = re.compile(r"(?<![\w/.-])make[ \t]" + _WORDS)
VARIABLE = re.compile(r"\$\{?([A-Z][A-Z0-9_]*)")


@dataclass(frozen=True)
class Script:
    """What a step runs, with the variables that it may use."""

    where: str
    text: str
    variables: frozenset

    def calls(self, pattern):
        return [found.strip() for found in pattern.findall(self.text)]


def load(path):
    # The key `on` is a truth value in YAML 1.1.
    content = yaml.safe_load(path.read_text())
    return {("on" if key is True else key): value for key, value in content.items()}


def jobs():
    return [(f"{path.name}:{name}", job) for path in WORKFLOWS for name, job in load(path)["jobs"].items()]


def steps():
    """Every step, with its place and the variables of the workflow, the job and itself."""
    found = []
    for path in WORKFLOWS:
        content = load(path)
        for name, job in content["jobs"].items():
            outer = {**content.get("env", {}), **job.get("env", {})}
            found += [(f"{path.name}:{name}", step, outer) for step in job["steps"]]
    for path in ACTIONS:
        found += [(path.parent.name, step, {}) for step in load(path)["runs"]["steps"]]
    return found


def scripts():
    return [
        Script(
            where=where,
            text=step["run"].replace("\\\n", " "),
            variables=frozenset({*outer, *step.get("env", {})}),
        )
        for where, step, outer in steps()
        if "run" in step
    ]
