"""``mlops stack``: what an environment's ZenML server must hold, planned and applied like infrastructure."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from zenml_mlops.cli.json_output import print_json
from zenml_mlops.cli.options import AsJson, group
from zenml_mlops.cli.sentences import entered, errors, sentences

if TYPE_CHECKING:
    from zenml_airflow.settings.project import Settings
    from zenml_mlops.stacks.load import LoadedStack
    from zenml_mlops.stacks.plan import Change

DIFFERENT = 3
"""Exit code of ``plan`` and ``diff`` that found something; 2 is the command line's own, for wrong usage."""

stack_app = group("The stacks of an environment: validate, plan, apply, diff and export stacks/ENV.yaml.")
Environment = Annotated[str, typer.Argument(metavar="[ENV]", help="Environment, as in stacks/ENV.yaml.")]
Prune = Annotated[bool, typer.Option("--prune", help="Delete what the file names no more.")]
console = Console(soft_wrap=True, highlight=False, markup=False)


class Form(StrEnum):
    """What ``export`` prints."""

    YAML = "yaml"
    AIRFLOW = "airflow"
    POOLS = "pools"
    SCHEMA = "schema"


@stack_app.command()
def validate(environment: Environment = "local") -> None:
    """Check a stack file offline: schema, references, ZenML's flavors, the policies.

    Every problem is named with file, line and field. Exits with 0 if there is none, else with 1.

    For example: `mlops stack validate`, or `mlops stack validate staging`
    """
    with entered(environment) as settings:
        loaded = _checked(settings)
        console.print(f"stacks/{environment}.yaml is valid: {len(loaded.file.stacks)} stacks")


@stack_app.command()
def plan(environment: Environment = "local", prune: Prune = False, as_json: AsJson = False) -> None:
    """Show what `mlops stack apply` would change; nothing is changed.

    Exits with 0 if nothing would, with 3 if something would, with 1 on an error.

    For example: `mlops stack plan`
    """
    with entered(environment) as settings:
        from zenml_mlops.stacks.apply import plan_stack_file
        from zenml_mlops.stacks.plan import Action, plan_digest

        changes, _ = plan_stack_file(_checked(settings, as_json=as_json), os.environ)
        made = [change for change in changes if prune or change.action is not Action.DELETE]
        if as_json:
            print_json({"environment": environment, "plan": plan_digest(made), "changes": list(map(_plain, made))})
        else:
            _show(changes, prune=prune)
            counts = ", ".join(f"{sum(c.action is action for c in made)} to {action}" for action in Action)
            console.print(
                f"plan {plan_digest(made)[:12]} for {environment}: {counts}"
                if made
                else f"{environment}: nothing to change"
            )
        if made:
            raise typer.Exit(DIFFERENT)


@stack_app.command()
def apply(environment: Environment = "local", prune: Prune = False, as_json: AsJson = False) -> None:
    """Make the ZenML server match stacks/ENV.yaml; applying twice changes nothing, and nothing is deleted.

    A failure says what is done and what is not; applying again finishes it. The audit log gets who applied which
    plan, and how it ended. Exits with 0 or, on an error, with 1.

    For example: `mlops stack apply`
    """
    from zenml_mlops.environment.stack_changes import prepare_stores

    with entered(environment) as settings:
        from zenml_mlops.environment.stack_changes import apply_and_record

        loaded = _checked(settings, as_json=as_json)
        prepare_stores(settings, loaded.file)
        made = []
        for change in apply_and_record(loaded, prune=prune):
            made.append(_plain(change))
            if not as_json:
                console.print(str(change))
        if as_json:
            print_json({"environment": environment, "changes": made})
        else:
            console.print(
                f"{environment}: {len(made)} changes made" if made else f"{environment}: nothing to change"
            )


@stack_app.command()
def diff(environment: Environment = "local", as_json: AsJson = False) -> None:
    """Find what was changed on the server by hand: it differs from what was applied last, or is gone.

    Exits with 0 if nothing was, with 3 if something was, with 1 on an error. `mlops stack apply` repairs it.

    For example: `mlops stack diff`
    """
    with entered(environment) as settings:
        from zenml_mlops.stacks.apply import plan_stack_file
        from zenml_mlops.stacks.plan import Action

        changes, _ = plan_stack_file(_checked(settings, as_json=as_json), os.environ)
        drifted = [change for change in changes if change.by_hand or change.action is Action.CREATE]
        waiting = len(
            [change for change in changes if change not in drifted and change.action is not Action.DELETE]
        )
        if as_json:
            print_json({"environment": environment, "drifted": list(map(_plain, drifted)), "waiting": waiting})
        else:
            for change in drifted:
                console.print(f"{'changed by hand' if change.by_hand else 'not there'}: {change.target}")
                for detail in change.details if change.by_hand else ():
                    console.print(f"      {detail}")
            console.print(f"{environment}: {len(drifted)} drifted, {waiting} others wait to be applied")
        if drifted:
            raise typer.Exit(DIFFERENT)


@stack_app.command()
def export(
    environment: Environment = "local",
    form: Annotated[Form, typer.Option("--format", help="yaml, airflow, pools or schema.")] = Form.YAML,
) -> None:
    """Print the whole stack file with what it extends, or what Airflow needs of it, without any secret.

    `airflow` prints shell variables, `pools` the file of `airflow pools import`, `schema` the JSON Schema.

    For example: `mlops stack export production`, or `mlops stack export staging --format airflow`
    """
    from zenml_airflow.settings.project import load_settings
    from zenml_mlops.environment.stack_files import stack_path, stack_variables
    from zenml_mlops.stacks.export import airflow_pools, airflow_variables, as_yaml
    from zenml_mlops.stacks.load import read_stack_file
    from zenml_mlops.stacks.schema import json_schema

    with sentences():
        if form is Form.SCHEMA:
            sys.stdout.write(json_schema())
            return
        settings = load_settings(environment)
        loaded = read_stack_file(stack_path(settings), stack_variables(settings))
        if form is Form.YAML:
            sys.stdout.write(as_yaml(loaded.document))
        elif form is Form.POOLS:
            sys.stdout.write(airflow_pools(loaded.file))
        else:
            for name, value in airflow_variables(loaded.file, str(settings.dags_dir)).items():
                sys.stdout.write(f"export {name}={shlex.quote(value)}\n")


def _plain(change: Change) -> dict[str, Any]:
    return {
        "action": change.action.value,
        "kind": change.kind.value,
        "target": change.target,
        "details": list(change.details),
        "by_hand": change.by_hand,
    }


def _checked(settings: Settings, *, as_json: bool = False) -> LoadedStack:
    """The stack file, if nothing at all is wrong with it. What policies say of it must not stand among JSON."""
    from zenml_mlops.environment.stack_files import checked_stack
    from zenml_mlops.stacks.load import judge_stacks

    loaded = checked_stack(settings)
    for verdict in judge_stacks(loaded).warnings:
        line = f"policy {verdict.policy} ({verdict.mode}, {verdict.subject}): {verdict.message}"
        (errors if as_json else console).print(line, markup=False, highlight=False, soft_wrap=True)
    return loaded


def _show(changes: Sequence[Change], *, prune: bool) -> None:
    from zenml_mlops.stacks.plan import Action

    for change in changes:
        kept = change.action is Action.DELETE and not prune
        notes = f"{' (changed by hand)' if change.by_hand else ''}{' (kept: only with --prune)' if kept else ''}"
        console.print(f"{change}{notes}")
        for detail in change.details:
            console.print(f"      {detail}")
