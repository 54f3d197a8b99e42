"""The command blocks of docs/runbook.md, carried out as an operator would: one shell for each block."""

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from labs import ROOT, warm

TEXT = (ROOT / "docs" / "runbook.md").read_text()
PREPARATION = "Before you start"


def read_blocks(text):
    """The ```bash blocks by heading, in order."""
    blocks, heading, lines = {}, "", None
    for line in text.splitlines():
        if lines is not None:
            if line == "```":
                blocks.setdefault(heading, []).append("\n".join(lines))
                lines = None
            else:
                lines.append(line)
        elif line == "```bash":
            lines = []
        elif found := re.fullmatch(r"##+ (.*)", line):
            heading = found[1]
    assert lines is None, f"a block under {heading!r} is not closed"
    return blocks


BLOCKS = read_blocks(TEXT)


@dataclass
class Operator:
    """Carries out blocks on one environment, and remembers which."""

    environment: dict
    done: list = field(default_factory=list)

    def follow(self, heading, number=0, check=True, **variables):
        """Carry out a block of the page, after the lines that prepare the shell."""
        self.done.append((heading, number))
        return self.shell("\n".join((*BLOCKS[PREPARATION], BLOCKS[heading][number])), check=check, **variables)

    def shell(self, script, check=True, **variables):
        path = os.pathsep.join((str(warm.programs()), str(Path(sys.executable).parent), os.environ["PATH"]))
        result = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=ROOT,
            env={**self.environment, "PATH": path, **{name: str(value) for name, value in variables.items()}},
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )
        if check:
            assert result.returncode == 0, f"{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
        return result


def eventually(find, what, timeout=600):
    """Wait until ``find`` finds something, and return it."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if found := find():
            return found
        time.sleep(0.5)
    raise AssertionError(f"not within {timeout} s: {what}")
