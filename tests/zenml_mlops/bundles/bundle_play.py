"""Calls commands on a state folder of its own: python bundle_play.py STATE COMMANDS; prints what they said."""

from __future__ import annotations

import json
import os
import shlex
import sys


def main(state: str, commands: list[str]) -> None:
    """Call the commands in one process; ``make-versions`` makes two versions of the model, the second one bad."""
    os.environ["MLOPS_STATE_DIR"] = state
    from zenml_mlops.environment.process import enter

    # Before ZenML is imported, which reads its variables then.
    enter("local")
    from labs.version_bench import make_versions
    from typer.testing import CliRunner

    from zenml_mlops.cli.app import app

    runner = CliRunner()
    said = []
    for command in commands:
        if command == "make-versions":
            make_versions("readmission_risk", True, False)
            continue
        result = runner.invoke(app, shlex.split(command))
        said.append((command, result.exit_code, result.stdout, result.stderr))
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
