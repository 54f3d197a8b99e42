"""``mlops config``: what an environment decides, and which file or variable says so."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zenml_mlops.cli.json_output import print_json
from zenml_mlops.cli.options import group
from zenml_mlops.cli.sentences import sentences

if TYPE_CHECKING:
    from zenml_airflow.settings.project import Settings

config_app = group("The configuration of an environment.")

DEFAULT = "default"


@config_app.command()
def show(
    environment: Annotated[
        str, typer.Argument(metavar="[ENV]", help="Environment, as in configs/ENV.yaml.")
    ] = "local",
    origin: Annotated[bool, typer.Option("--origin", help="Also say where each value comes from.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: by setting, its value and its origin.")
    ] = False,
) -> None:
    """Print every setting of an environment; secrets are masked.

    For example: `mlops config show production --origin`
    """
    from zenml_airflow.settings.project import load_settings
    from zenml_mlops.stacks.documents import leaves

    with sentences():
        settings = load_settings(environment)
        known = origins(settings) if origin or as_json else {}
        if as_json:
            found = {
                ".".join(path): {"value": value, "origin": _origin(known, path)}
                for path, value in leaves(settings.model_dump(mode="json"))
            }
            print_json(found)
            return
        for path, value in leaves(settings.model_dump(mode="json")):
            where = f"  # {_origin(known, path)}" if origin else ""
            sys.stdout.write(f"{'.'.join(path)} = {value!r}{where}\n")


def origins(settings: Settings) -> dict[tuple[str, ...], str]:
    """Where each value was set, by its path: a variable, or file and line; what is missing is a default."""
    from zenml_airflow.settings.project import DAGS_DIR_ENV, SERVICE_ENVS, STATE_DIR_ENV, settings_files
    from zenml_mlops.stacks.documents import leaves, read_document

    found: dict[tuple[str, ...], str] = {}
    for file in settings_files(settings.project_root, settings.environment):
        document = read_document(file)
        for path, _ in leaves(document.content):
            found[path] = f"configs/{document.place(path)}"
    variables: dict[tuple[str, ...], str] = {
        ("state_dir",): STATE_DIR_ENV,
        ("dags_dir",): DAGS_DIR_ENV,
        **{("services", key): variable for key, variable in SERVICE_ENVS.items()},
    }
    found |= {path: f"variable {variable}" for path, variable in variables.items() if os.environ.get(variable)}
    found |= {(name,): "computed" for name in ("environment", "project_root")}
    return found


def _origin(known: dict[tuple[str, ...], Any], path: tuple[str, ...]) -> str:
    """The origin of a value or, for what a default fills in below a value of a file, of that."""
    return next((known[path[:end]] for end in range(len(path), 0, -1) if path[:end] in known), DEFAULT)
