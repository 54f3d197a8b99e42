"""``mlops export`` and ``mlops import``: a model version leaves this ZenML server, or comes from another one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from zenml_mlops.cli.options import AsJson, Environment, Reason
from zenml_mlops.cli.sentences import console, entered

if TYPE_CHECKING:
    from pydantic import BaseModel

    from zenml_airflow.settings.project import Settings
    from zenml_mlops.bundles import Rules

# Apart from what a machine reads.
progress = Console(stderr=True, soft_wrap=True)


def export(
    model: Annotated[str, typer.Argument(help="Model, such as readmission_risk.")],
    version: Annotated[int, typer.Argument(help="Number of the version.")],
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            help="Folder as a path or fsspec URL, or a file that ends with .tar; bundles.location by default.",
        ),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            envvar="MLOPS_SIGNING_KEY",
            help="SSH key to sign with; of a key in an agent or on a token, its public file.",
        ),
    ] = None,
    reason: Reason = "",
    as_json: AsJson = False,
    environment: Environment = "local",
) -> None:
    """Write a version with its evidence into a bundle, for another server to import.

    The bundle holds model, schema, card, metrics, lineage and the decisions up to now; no row of data. Exporting
    the same version again gives the same bytes.

    For example: `mlops export readmission_risk 1`, or
    `mlops export readmission_risk 3 --to s3://bucket/bundles --key ~/.ssh/id_ed25519 --env staging`
    """
    from zenml_mlops.environment.deployments import BUNDLE_PACKAGES

    with entered(environment) as settings:
        from zenml_mlops.bundles import export_bundle

        done = export_bundle(
            model,
            version,
            to or settings.resolve(settings.bundles.location),
            environment=settings.environment,
            key=key.expanduser() if key else None,
            packages=BUNDLE_PACKAGES,
            reason=reason,
            progress=_show_progress,
        )
        for warning in done.warnings:
            progress.print(f"policy {warning}", markup=False, highlight=False)
        if done.left_out:
            progress.print(f"stays here: {', '.join(done.left_out)}", markup=False, highlight=False)
        _show(done, as_json)


def import_(
    bundle: Annotated[str, typer.Argument(help="The bundle: a path or fsspec URL of the file.")],
    model: Annotated[
        str | None, typer.Option("--model", help="The model that it must hold; those of configs/ by default.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only verify the bundle, and say whether it would be accepted.")
    ] = False,
    reason: Reason = "",
    as_json: AsJson = False,
    environment: Environment = "local",
) -> None:
    """Verify a bundle, and let its version in: it is in no stage then, and promoted like any other.

    Signature, signer, every file, the format of the model, its name and this environment's policies are looked at
    before anything is touched. An import that was interrupted is finished by importing the same bundle again.

    For example: `mlops import bundles/readmission_risk-3-1f0c22ab9d0e.tar --dry-run`, or
    `mlops import s3://bucket/bundles/readmission_risk-3-1f0c22ab9d0e.tar --env production`
    """
    with entered(environment) as settings:
        from zenml_mlops.bundles import import_bundle

        with _stack(settings):
            done = import_bundle(
                bundle,
                _rules(settings, model),
                environment=settings.environment,
                reason=reason,
                dry_run=dry_run,
                progress=_show_progress,
            )
        for warning in done.warnings:
            progress.print(f"policy {warning}", markup=False, highlight=False)
        _show(done, as_json)


@contextmanager
def _stack(settings: Settings) -> Iterator[None]:
    """Work on the environment's stack: its artifact store is the one that the steps reach."""
    from zenml_airflow.runtime.active_stack import active_stack
    from zenml_mlops.environment.stack_files import stack_id

    try:
        found = stack_id(settings, scheduled=True)
    except KeyError:
        raise ValueError(
            f"The stack of environment {settings.environment!r} is not registered yet: run `mlops stack "
            "apply` first."
        ) from None
    with active_stack(found):
        yield


def _rules(settings: Settings, model: str | None) -> Rules:
    """What the environment asks of bundles; a named model must be one that it takes."""
    from zenml_airflow.settings.project import every_use_case
    from zenml_mlops.bundles import Rules
    from zenml_mlops.environment.deployments import BUNDLE_PACKAGES

    sections = [config for own in every_use_case(settings) for config in own.pipelines.values()]
    named = {str(config["model_name"]) for config in sections if "model_name" in config}
    taken = set(settings.bundles.models) or named
    if model is not None and model not in taken:
        raise ValueError(
            f"Nothing of the model {model!r} is imported here: `bundles.models` in configs/ names {sorted(taken)}."
        )
    return Rules(
        allowed_signers=settings.project_root / settings.bundles.allowed_signers,
        packages=BUNDLE_PACKAGES,
        models=tuple(sorted(taken)) if model is None else (model,),
        most_bytes=settings.bundles.most_bytes,
    )


def _show_progress(text: str) -> None:
    progress.print(text, style="dim", markup=False, highlight=False)


def _show(done: BaseModel, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(done.model_dump_json(indent=2) + "\n")
    else:
        console.print(str(done), markup=False, highlight=False)
