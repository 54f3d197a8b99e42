"""``mlops snapshots``: what was deployed, what it is made of, how two of them differ; run one."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from zenml_mlops.cli.json_output import print_json
from zenml_mlops.cli.options import AsJson, Environment, group
from zenml_mlops.cli.run import Date, Params, Wait, key_values, start_in_airflow
from zenml_mlops.cli.sentences import console, entered, print_table

if TYPE_CHECKING:
    from zenml.models import PipelineSnapshotResponse

    from zenml_airflow.settings.project import Settings

snapshots_app = group("The snapshots that `mlops deploy` made: list, show, compare and run them.")
Name = Annotated[str, typer.Argument(help="Name or id; or a pipeline, for the snapshot that its manifest names.")]


class State(StrEnum):
    """Which snapshots to list."""

    ALL = "all"
    DEPLOYED = "deployed"
    CLEAN = "clean"
    DIRTY = "dirty"


@snapshots_app.command("list")
def list_snapshots(
    pipeline: Annotated[str | None, typer.Option(help="Only those of this pipeline.")] = None,
    commit: Annotated[str | None, typer.Option(help="Only those of this commit, or of its first digits.")] = None,
    state: Annotated[
        State, typer.Option(help="Only those that the manifests name, or by whether all was committed.")
    ] = State.ALL,
    limit: Annotated[int, typer.Option(min=1, help="How many at most, the newest first.")] = 50,
    as_json: AsJson = False,
    environment: Environment = "local",
) -> None:
    """List the snapshots of an environment, the newest first.

    For example: `mlops snapshots list`, or `mlops snapshots list --pipeline training --state deployed`
    """
    with entered(environment) as settings:
        rows = _rows(settings, pipeline, commit, state, limit)
        if as_json:
            print_json(rows)
            return
        keys = ("name", "pipeline", "commit", "code", "stack", "created", "deployed")
        table = Table(*keys)
        for row in rows:
            table.add_row(*(_cell(key, row) for key in keys))
        print_table(table)


@snapshots_app.command()
def show(name: Name, as_json: AsJson = False, environment: Environment = "local") -> None:
    """Show what a snapshot is made of: code, stack, image, policies, steps and their settings.

    For example: `mlops snapshots show training`, or `mlops snapshots show batch_inference --json`
    """
    with entered(environment) as settings:
        snapshot = _find(settings, name)
        from zenml_airflow.deploy.snapshots import facts_of

        facts = facts_of(snapshot)
        if as_json:
            print_json({"name": snapshot.name, "id": snapshot.id, "created": snapshot.created, **facts})
            return
        console.print(f"[bold]{escape(str(snapshot.name))}[/bold]  {snapshot.id}", highlight=False)
        for section, content in facts.items():
            table = Table(section, "", title_justify="left")
            for key, value in content.items():
                table.add_row(escape(key), escape(_text(value)))
            print_table(table)


@snapshots_app.command()
def diff(before: Name, after: Name, as_json: AsJson = False, environment: Environment = "local") -> None:
    """Show how two snapshots differ: code, stack, image, policies, steps, settings.

    For example: `mlops snapshots diff local-training-0f3c2a9b71de-5b1d0c3e training`
    """
    with entered(environment) as settings:
        old, new = _find(settings, before), _find(settings, after)
        from zenml_airflow.deploy.snapshots import differences, facts_of

        found = differences(facts_of(old), facts_of(new))
        if as_json:
            print_json({"before": old.name, "after": new.name, "differences": found})
            return
        if not found:
            console.print("They do not differ in code, stack, image, policies, steps or settings.")
            return
        for section, content in found.items():
            table = Table(section, escape(str(old.name)), escape(str(new.name)))
            for key, (was, now) in content.items():
                table.add_row(escape(key), escape(_text(was)), escape(_text(now)))
            print_table(table)


@snapshots_app.command()
def run(
    name: Name,
    date: Date = None,
    param: Params = None,
    wait: Wait = False,
    dag: Annotated[str | None, typer.Option("--dag", help="DAG, where several run the pipeline.")] = None,
    environment: Environment = "local",
) -> None:
    """Trigger the DAG of a deployed snapshot through Airflow's REST API.

    A DAG runs the snapshot that its manifest names. To run another one, bring its manifest back: `git revert` the
    commit that replaced it, or deploy the commit of that snapshot.

    For example: `mlops snapshots run training --wait`
    """
    with entered(environment) as settings:
        snapshot = _find(settings, name)
        pipeline = snapshot.pipeline.name
        deployed = _deployed(settings).get(pipeline)
        if deployed != str(snapshot.id):
            raise ValueError(
                f"Airflow does not run snapshot {snapshot.name!r}: the manifest of {pipeline!r} names "
                f"{_name_of(deployed)}. Revert the commit that replaced it, or deploy its commit again."
            )
        start_in_airflow(settings, pipeline, date and date.date(), key_values(param), wait=wait, dag=dag)


def _rows(
    settings: Settings, pipeline: str | None, commit: str | None, state: State, limit: int
) -> list[dict[str, Any]]:
    from zenml_airflow.deploy.snapshots import deployed_snapshots, deployment_of
    from zenml_mlops.environment.deployments import pipelines

    if pipeline is not None:
        pipelines(settings, [pipeline])
    in_use = set(_deployed(settings).values())
    rows: list[dict[str, Any]] = []
    for snapshot in deployed_snapshots(settings.environment, pipeline):
        deployment = deployment_of(snapshot)
        if deployment is None or len(rows) == limit:
            break
        code = deployment.code
        row = {
            "name": snapshot.name,
            "id": str(snapshot.id),
            "pipeline": snapshot.pipeline.name,
            "commit": code.commit,
            "dirty": code.dirty,
            "code": code.digest,
            "stack": snapshot.stack.name if snapshot.stack else None,
            "created": snapshot.created,
            "deployed": str(snapshot.id) in in_use,
        }
        wanted = {
            State.ALL: True,
            State.DEPLOYED: row["deployed"],
            State.CLEAN: not code.dirty,
            State.DIRTY: code.dirty,
        }
        if wanted[state] and (commit is None or (code.commit or "").startswith(commit.lower())):
            rows.append(row)
    return rows


def _deployed(settings: Settings) -> dict[str, str]:
    """Id of the snapshot that each manifest of the environment names, by pipeline."""
    from zenml_airflow.manifest.manifest import read_manifest

    found = {}
    for path in sorted(settings.manifests_dir.glob("*.json")):
        manifest = read_manifest(path, path.stem)
        if manifest.environment == settings.environment:
            found[manifest.pipeline] = manifest.snapshot_id
    return found


def _find(settings: Settings, name: str) -> PipelineSnapshotResponse:
    from zenml_airflow.deploy.snapshots import SnapshotError, get_snapshot
    from zenml_mlops.environment.deployments import pipelines

    if name not in pipelines(settings):
        return get_snapshot(name)
    deployed = _deployed(settings).get(name)
    if deployed is None:
        raise SnapshotError(
            f"Pipeline {name!r} is not deployed to {settings.environment!r}: `mlops deploy {name}` does that."
        )
    return get_snapshot(deployed)


def _name_of(snapshot_id: str | None) -> str:
    from zenml_airflow.deploy.snapshots import get_snapshot

    return repr(get_snapshot(snapshot_id).name) if snapshot_id else "none"


def _cell(key: str, row: dict[str, Any]) -> str:
    if key == "commit":
        return f"{(row['commit'] or 'none')[:12]}{' (dirty)' if row['dirty'] else ''}"
    if key == "code":
        return str(row["code"])[:12]
    if key == "created":
        return f"{row['created']:%Y-%m-%d %H:%M:%S}"
    if key == "deployed":
        return "yes" if row["deployed"] else ""
    return escape(str(row[key] or ""))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
