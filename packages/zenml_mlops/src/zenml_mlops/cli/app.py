"""``mlops``: deploy, run, promote and operate ZenML pipelines on Airflow."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from zenml_airflow.runtime.preload import collect_rarely
from zenml_airflow.settings.project import USE_CASE_ENV
from zenml_mlops.cli.audit import audit_app
from zenml_mlops.cli.backfill import backfill
from zenml_mlops.cli.bundle import export, import_
from zenml_mlops.cli.config import config_app
from zenml_mlops.cli.data import data_app
from zenml_mlops.cli.doctor import doctor
from zenml_mlops.cli.github import github_app
from zenml_mlops.cli.gitlab import gitlab_app
from zenml_mlops.cli.json_output import print_json
from zenml_mlops.cli.lineage import impact, trace
from zenml_mlops.cli.models import models_app, promote, rollback
from zenml_mlops.cli.models_compare import candidate, champion, compare
from zenml_mlops.cli.new import new, upgrade
from zenml_mlops.cli.options import AsJson, Environment
from zenml_mlops.cli.policy import policy_app
from zenml_mlops.cli.report import report_app
from zenml_mlops.cli.run import run
from zenml_mlops.cli.sentences import console, entered, sentences
from zenml_mlops.cli.serve import serve
from zenml_mlops.cli.snapshots import snapshots_app
from zenml_mlops.cli.stack import stack_app
from zenml_mlops.cli.status import status

collect_rarely()

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="ZenML pipelines on Airflow: deploy, run, promote and operate them.",
)


@app.callback()
def choose(
    use_case: Annotated[
        str | None,
        typer.Option(
            "--use-case", metavar="NAME", help="Use case, as in configs/use_cases/NAME.yaml, if there are several."
        ),
    ] = None,
) -> None:
    """Say which use case of the project the command is about."""
    if use_case is not None:
        os.environ[USE_CASE_ENV] = use_case


app.add_typer(data_app, name="data")
app.add_typer(stack_app, name="stack")
app.add_typer(config_app, name="config")
app.add_typer(policy_app, name="policy")
app.add_typer(audit_app, name="audit")
app.add_typer(report_app, name="report")
command: Callable[..., None]
for command in (candidate, compare, champion):
    models_app.command()(command)
app.add_typer(models_app, name="models")
app.add_typer(github_app, name="github")
app.add_typer(gitlab_app, name="gitlab")
app.add_typer(snapshots_app, name="snapshots")
for command in (backfill, run, promote, rollback, export):
    app.command()(command)
app.command("import")(import_)
for command in (trace, doctor, status, impact, serve, new, upgrade):
    app.command()(command)


class CardForm(StrEnum):
    """The forms of a model card."""

    MARKDOWN = "md"
    HTML = "html"


@app.command()
def deploy(
    pipelines: Annotated[
        list[str] | None, typer.Argument(help="Pipelines to deploy; all of them by default.")
    ] = None,
    environment: Environment = "local",
) -> None:
    """Compile pipelines to snapshots and write the manifests that the DAG files read.

    Deploying the same code and configuration twice finds the first snapshot again.

    For example: `mlops deploy`, or `mlops deploy batch_inference --env local`
    """
    from zenml_mlops.environment.deploying import deploy_all

    with entered(environment) as settings:
        deploy_all(settings, console.print, pipelines)


@app.command()
def card(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    version: Annotated[int | None, typer.Argument(help="Number of the version; the newest by default.")] = None,
    form: Annotated[CardForm, typer.Option("--format", help="Form of the card.")] = CardForm.MARKDOWN,
    out: Annotated[
        Path | None, typer.Option(help="File to write, or to write anew; the standard output by default.")
    ] = None,
    environment: Environment = "local",
) -> None:
    """Print the model card of a version, with the decisions on it up to now.

    For example: `mlops card readmission_risk`, or `mlops card readmission_risk 1 --format html --out card.html`
    """
    with entered(environment):
        from zenml_mlops.cards import render_html, render_markdown
        from zenml_mlops.cards.records import recorded_card

        content = recorded_card(model, version)
        text = (render_html if form is CardForm.HTML else render_markdown)(content)
        if out is None:
            sys.stdout.write(text)
        else:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(text, encoding="utf-8")
            console.print(f"wrote the card of {content.model} version {content.version} to {out}", highlight=False)


@app.command()
def up(environment: Environment = "local") -> None:
    """Start Airflow and MLflow on loopback, and wait until they are ready.

    Executor, pools, default queue and DAG bundle are those of stacks/ENV.yaml. One machine runs the LocalExecutor.

    For example: `mlops up`, then `mlops status`
    """
    from zenml_mlops.environment.deploying import deploy_all
    from zenml_mlops.local.airflow import services_environment
    from zenml_mlops.local.services import show_urls, start

    with entered(environment) as settings:
        # Before anything is deployed for services that cannot be started.
        services_environment(settings)
        deploy_all(settings, console.print)
        start(settings, console.print)
        show_urls(settings, console.print)


@app.command()
def down(environment: Environment = "local") -> None:
    """Stop every process that `mlops up` or `mlops demo` started.

    For example: `mlops down`
    """
    from zenml_mlops.local.services import stop

    with entered(environment) as settings:
        count = stop(settings, console.print)
        console.print(f"stopped {count} processes" if count else "nothing was running")


@app.command()
def logs(
    service: Annotated[str | None, typer.Argument(help="Service, such as scheduler; all by default.")] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="Lines from the end.")] = 40,
    environment: Environment = "local",
) -> None:
    """Print the end of the services' logs.

    For example: `mlops logs scheduler -n 100`
    """
    from zenml_mlops.local.services import logs_dir, services

    with entered(environment) as settings:
        known = [item.name for item in services(settings)]
        if service is not None and service not in known:
            raise ValueError(f"No service {service!r}. Known: {known}.")
        for name in [service] if service else known:
            path = logs_dir(settings) / f"{name}.log"
            text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else "no log yet\n"
            console.rule(name)
            sys.stdout.write("\n".join(text.splitlines()[-lines:]) + "\n")


@app.command()
def password(environment: Environment = "local") -> None:
    """Print the generated password of the local Airflow user `admin`.

    For example: `mlops password`
    """
    from zenml_mlops.environment.process import admin_password

    with entered(environment) as settings:
        found = admin_password(settings)
        if found is None:
            raise ValueError("Airflow has not been started in this folder yet: run `make up`.")
        sys.stdout.write(found + "\n")


@app.command()
def reconcile(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be closed.")] = False,
    as_json: AsJson = False,
    environment: Environment = "local",
) -> None:
    """Close ZenML runs that are still open although their Airflow run has ended.

    A task that was killed outright leaves its ZenML run open. The DAG `zenml_maintenance` does the same every
    quarter of an hour. Running it again changes nothing.

    For example: `mlops reconcile --dry-run`
    """
    with entered(environment) as settings:
        from zenml_airflow.runtime.reconcile import AirflowState
        from zenml_airflow.runtime.reconcile import reconcile as close_open_runs
        from zenml_mlops.airflow_api.api import AirflowApi

        api = AirflowApi(settings)

        def state_of(dag_id: str, run_id: str) -> AirflowState:
            return AirflowState.of(api.run_state(dag_id, run_id))

        found = []
        for closed in close_open_runs(state_of, dry_run=dry_run):
            found.append({"run": closed.name, "was": closed.was, "now": closed.now, "reason": closed.reason})
            if not as_json:
                console.print(f"{closed.name}: {closed.was} -> {closed.now} ({closed.reason})", highlight=False)
        if as_json:
            print_json({"dry_run": dry_run, "runs": found})
        else:
            console.print(f"{len(found)} runs {'would be closed' if dry_run else 'closed'}")


@app.command()
def env(environment: Environment = "local") -> None:
    """Print the shell variables that point `zenml`, `mlflow` and `airflow` at this environment's stores.

    For example: `eval "$(mlops env)"`, then `zenml pipeline runs list`
    """
    from zenml_airflow.settings.project import load_settings
    from zenml_mlops.environment.process import airflow_environment

    with sentences():
        for name, value in sorted(airflow_environment(load_settings(environment)).items()):
            sys.stdout.write(f"export {name}={shlex.quote(value)}\n")


@app.command()
def demo(
    source: Annotated[str, typer.Option(help="Source of the data, as in `mlops data fetch`.")] = "auto",
    days: Annotated[
        int | None, typer.Option(min=1, max=31, help="Days to score; demo.days of the configuration by default.")
    ] = None,
    environment: Environment = "local",
) -> None:
    """Run the main job in a real Airflow: train, gate, promote, feed some days, backfill them.

    Exits with 0 only if Airflow, ZenML and the files on disk agree. Running it again works.

    For example: `mlops demo`, or `mlops demo --source synthetic`
    """
    with entered(environment) as settings:
        from zenml_mlops.cli.demo import run_demo

        run_demo(settings, source, console, days=days)


if __name__ == "__main__":
    app()
