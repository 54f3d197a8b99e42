"""``mlops run``: run a pipeline, in this process or through Airflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date as Day
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from zenml_mlops.cli.options import Environment, day_option
from zenml_mlops.cli.sentences import console, sentences

if TYPE_CHECKING:
    from zenml_airflow.settings.project import Settings


class Via(StrEnum):
    """What runs the pipeline."""

    PROCESS = "process"
    AIRFLOW = "airflow"


Date = Annotated[datetime | None, day_option("--date", help="Day that the run is for; today by default.")]
Params = Annotated[list[str] | None, typer.Option("--param", help="Run parameter as KEY=VALUE; may be repeated.")]
Wait = Annotated[bool, typer.Option("--wait", help="Follow the run, and exit with 1 if it fails.")]


def run(
    pipeline: Annotated[str, typer.Argument(help="Pipeline to run, such as training.")],
    date: Date = None,
    param: Params = None,
    via: Annotated[
        Via, typer.Option(help="This process, or the deployed DAG of a running Airflow.")
    ] = Via.PROCESS,
    wait: Wait = False,
    dag: Annotated[str | None, typer.Option("--dag", help="DAG, where several run the pipeline.")] = None,
    environment: Environment = "local",
) -> None:
    """Run a pipeline in this process, without Airflow; or trigger its DAG, with `--via airflow`.

    Ctrl-C while `--wait` follows a DAG run ends the following alone.

    For example: `mlops run batch_inference --date 2026-01-05`, or `mlops run training --via airflow --wait`
    """
    from zenml_mlops.environment.deploying import run_inline
    from zenml_mlops.environment.process import enter

    with sentences():
        day = date.date() if date else None
        params = key_values(param)
        if via is Via.PROCESS:
            if wait or dag:
                raise ValueError("--wait and --dag have an effect with --via airflow only.")
            finished = run_inline(enter(environment), pipeline, day, params)
            console.print(f"run [bold]{finished.name}[/bold]: {finished.status.value}")
            return
        settings = enter(environment)
        from zenml_mlops.environment.deployments import pipelines

        _, known = pipelines(settings, [pipeline])[pipeline]
        start_in_airflow(settings, known.name, day, params, wait=wait, dag=dag)


def start_in_airflow(
    settings: Settings, pipeline: str, day: Day | None, params: Mapping[str, str], *, wait: bool, dag: str | None
) -> None:
    """Trigger the DAG of a pipeline and say where its run is; follow it to its end if asked to.

    Raises:
        AirflowApiError: If Airflow takes no such run, or the run that is followed fails.
        Exit: With 130, if the following was interrupted.
    """
    from zenml_mlops.airflow_api.api import AirflowApi
    from zenml_mlops.airflow_api.runs import dag_of, follow_run, run_conf, run_url

    api = AirflowApi(settings)
    found = dag_of(api, pipeline, dag)
    dag_id = str(found["dag_id"])
    run_id = api.trigger(dag_id, run_conf(found, day, params))
    console.print(f"triggered {dag_id}: {run_id}\n{run_url(api, dag_id, run_id)}", highlight=False, markup=False)
    if not wait:
        return
    try:
        follow_run(api, dag_id, run_id, console)
    except KeyboardInterrupt:
        console.print(
            f"No longer following. {run_id} continues in Airflow, where it can also be stopped.", markup=False
        )
        raise typer.Exit(130) from None
    console.print(f"{run_id} succeeded", highlight=False, markup=False)


def key_values(items: Sequence[str] | None) -> dict[str, str]:
    """Parse ``KEY=VALUE`` options.

    Raises:
        ValueError: If one is none.
    """
    found = {}
    for item in items or ():
        key, separator, value = item.partition("=")
        if not separator or not key:
            raise ValueError(f"--param expects KEY=VALUE, found {item!r}.")
        found[key] = value
    return found
