"""Calls the commands on a state folder of its own: python models_play.py STATE; prints what each said as JSON."""

from __future__ import annotations

import json
import os
import shlex
import sys

WHY = "Because the test asks for it."
COMMANDS = (
    "promote played 1",
    "promote played 3 --dry-run",
    "promote played 3",
    "promote played --dry-run",
    f"promote played --reason '{WHY}'",
    "promote played --dry-run",
    "promote played --resume",
    "promote played 2 --resume",
    "rollback played --dry-run",
    f"rollback played --reason '{WHY}'",
    "rollback played",
    f"models reject played 2 --reason '{WHY}'",
    "models candidate played",
    "models champion played",
    "models champion played --stage staging",
    "models compare played 1",
    "promote played 2",
    f"models approve played 2 --reason '{WHY}'",
    f"models archive played 1 --reason '{WHY}'",
    f"models withdraw played 2 --reason '{WHY}'",
    "models withdraw played 2",
    "models list --json",
    "models show played --json",
    "models history played --json",
    "models list",
    "models show played",
    "models history played",
    "models show nothing",
    "audit verify",
)


def main(state: str) -> None:
    """Call every command in one process, on the stores below the state folder."""
    os.environ["MLOPS_STATE_DIR"] = state
    from zenml_mlops.environment.process import enter

    # Before ZenML is imported, which reads its variables then.
    enter("local")
    from labs.version_bench import make_versions
    from typer.testing import CliRunner

    from zenml_mlops.cli.app import app

    make_versions("played", True, True, False)
    runner = CliRunner()
    said = []
    for command in COMMANDS:
        result = runner.invoke(app, shlex.split(command))
        said.append((command, result.exit_code, result.output))
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[1])
