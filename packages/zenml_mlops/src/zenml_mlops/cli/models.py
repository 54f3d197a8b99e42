"""``mlops promote``, ``mlops rollback`` and ``mlops models``: which version of a model is in which stage."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from zenml_mlops.cli.json_output import print_json
from zenml_mlops.cli.options import AsJson, Environment, Reason, group
from zenml_mlops.cli.sentences import console, entered, print_table, sentences

if TYPE_CHECKING:
    from zenml_airflow.contracts.origins import Origin
    from zenml_mlops.promotion import Preview, PromotionResult, Record

models_app = group(
    "The models: their versions, stages and history; approve, reject, archive and withdraw versions."
)
ModelName = Annotated[str, typer.Argument(help="Model, such as readmission_risk.")]
Number = Annotated[int, typer.Argument(help="Number of the version.")]
Stage = Annotated[str, typer.Option("--to", help="Stage: staging or production.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done, and what prevents it.")]


def promote(
    model: ModelName,
    version: Annotated[
        int | None, typer.Argument(help="Version number; by default the newest that could enter the stage.")
    ] = None,
    to: Stage = "production",
    dry_run: DryRun = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Finish the change of stages that a dead process left open; no other.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Waive today's violations of policies that are not critical; needs --reason."
        ),
    ] = False,
    reason: Reason = "",
    as_json: AsJson = False,
    environment: Environment = "local",
) -> None:
    """Put a model version into a stage, if the run that made it completed and its gates passed.

    For example: `mlops promote readmission_risk`, or `mlops promote readmission_risk 3 --to staging --dry-run`
    """
    from zenml_mlops.environment.process import enter

    with sentences():
        if resume and (version is not None or dry_run or force):
            raise ValueError("--resume finishes the plan that was written: it takes the model and nothing else.")
        settings = enter(environment)
        from zenml_mlops.promotion import candidate_or_refusal, preview_promotion
        from zenml_mlops.promotion import promote as promote_version
        from zenml_mlops.promotion import resume as finish

        if resume:
            done = finish(model)
            if as_json:
                print_json({"finished": done})
            else:
                console.print(done or f"Nothing of {model} was interrupted; nothing changed.", highlight=False)
            return
        number = version if version is not None else candidate_or_refusal(model, to)
        if dry_run:
            preview = preview_promotion(
                model, number, to, environment=settings.environment, reason=reason, force=force
            )
            _show_preview(preview, as_json=as_json)
            return
        made = promote_version(model, number, to, environment=settings.environment, reason=reason, force=force)
        _show(made, as_json=as_json)


def rollback(
    model: ModelName,
    to: Annotated[
        int | None, typer.Option("--to", help="Version; by default the one that was in the stage before.")
    ] = None,
    stage: Annotated[str, typer.Option("--stage", help="Stage: staging or production.")] = "production",
    dry_run: DryRun = False,
    reason: Reason = "",
    as_json: AsJson = False,
    environment: Environment = "local",
) -> None:
    """Bring back the version that was in production before, as the recorded history says.

    The next rollback goes one further back. A version that was withdrawn never comes back.

    For example: `mlops rollback readmission_risk --dry-run`, or `mlops rollback readmission_risk --to 1`
    """
    with entered(environment) as settings:
        from zenml_mlops.promotion import preview_rollback
        from zenml_mlops.promotion import rollback as bring_back

        if dry_run:
            _show_preview(preview_rollback(model, to, stage, environment=settings.environment), as_json=as_json)
            return
        _show(bring_back(model, to, stage, environment=settings.environment, reason=reason), as_json=as_json)


@models_app.command("list")
def list_models(as_json: AsJson = False, environment: Environment = "local") -> None:
    """List the models, each with the versions that are in a stage.

    For example: `mlops models list`
    """
    with entered(environment):
        from zenml_mlops.promotion.overview import overview

        rows = overview()
        if as_json:
            print_json(rows)
            return
        keys = ("model", "versions", "newest", "staging", "production")
        table = Table(*keys)
        for row in rows:
            table.add_row(*(str(row[key] or "") for key in keys))
        print_table(table)


@models_app.command()
def show(model: ModelName, as_json: AsJson = False, environment: Environment = "local") -> None:
    """Show the versions of a model: stage, gates, approval, run and commit; and where imported ones come from.

    For example: `mlops models show readmission_risk`
    """
    with entered(environment):
        from zenml_mlops.promotion.overview import version_rows

        rows = version_rows(model)
        if as_json:
            print_json(rows)
            return
        keys = ("version", "stage", "gates", "decision", "withdrawn", "commit", "run", "from", "created")
        table = Table(*keys)
        for row in rows:
            table.add_row(*(escape(str(row[key] or "")) for key in keys))
        print_table(table)


@models_app.command()
def history(model: ModelName, as_json: AsJson = False, environment: Environment = "local") -> None:
    """Show what entered and left the stages of a model: when, by whom, why, on whose approval.

    Of an imported version it shows the import, and what happened to it on the server that it comes from.

    For example: `mlops models history readmission_risk`
    """
    with entered(environment):
        from zenml_mlops.promotion import history as recorded
        from zenml_mlops.promotion.overview import imports

        records = recorded(model)
        if as_json:
            print_json([{**record.model_dump(mode="json"), "state": record.state.value} for record in records])
            return
        table = Table("no.", "at (UTC)", "what", "state", "by", "approved by", "why", "run")
        rows = [(record.plan.at, _history_row(record)) for record in records]
        for number, origin in imports(model):
            rows += [(origin.imported_at, row) for row in _import_rows(number, origin)]
        for _, row in sorted(rows, key=itemgetter(0)):
            table.add_row(*row)
        print_table(table)


@models_app.command()
def approve(
    model: ModelName,
    version: Number,
    reason: Reason,
    to: Stage = "production",
    as_json: AsJson = False,
    environment: Environment = "local",
) -> None:
    """Record that you let a version enter a stage; promotion asks for it where a policy demands it.

    For example: `mlops models approve readmission_risk 3 --reason "Ranks better in every group."`
    """
    _decide(model, version, to, reason, environment, approved=True, as_json=as_json)


@models_app.command()
def reject(
    model: ModelName,
    version: Number,
    reason: Reason,
    to: Stage = "production",
    as_json: AsJson = False,
    environment: Environment = "local",
) -> None:
    """Record that a version must not enter a stage; a later approval lets it in.

    For example: `mlops models reject readmission_risk 3 --reason "Worse for the oldest patients."`
    """
    _decide(model, version, to, reason, environment, approved=False, as_json=as_json)


@models_app.command()
def archive(
    model: ModelName, version: Number, reason: Reason, as_json: AsJson = False, environment: Environment = "local"
) -> None:
    """Take a version out of its stage, which may be empty then: `mlops rollback` brings another one in.

    For example: `mlops models archive readmission_risk 2 --reason "The pilot is over."`
    """
    with entered(environment) as settings:
        from zenml_mlops.promotion import archive as leave

        _show(leave(model, version, reason=reason, environment=settings.environment), as_json=as_json)


@models_app.command()
def withdraw(
    model: ModelName, version: Number, reason: Reason, as_json: AsJson = False, environment: Environment = "local"
) -> None:
    """Archive a version for ever: neither promotion nor rollback brings it back.

    For example: `mlops models withdraw readmission_risk 2 --reason "Trained on a withdrawn file."`
    """
    with entered(environment) as settings:
        from zenml_mlops.promotion import withdraw as leave

        _show(leave(model, version, reason=reason, environment=settings.environment), as_json=as_json)


def _decide(
    model: str, version: int, stage: str, reason: str, environment: str, *, approved: bool, as_json: bool
) -> None:
    with entered(environment):
        from zenml_mlops.promotion import decide

        made = decide(model, version, stage, approved=approved, reason=reason)
        if as_json:
            print_json({"model": model, "version": version, **made.model_dump(mode="json")})
            return
        word = "approved" if made.approved else "rejected"
        console.print(f"{model} version {version} is {word} for {stage} by {made.by}.", highlight=False)


def _show(done: PromotionResult, *, as_json: bool) -> None:
    if as_json:
        print_json(done.model_dump(mode="json"))
    else:
        console.print(str(done), highlight=False)


def _show_preview(preview: Preview, *, as_json: bool) -> None:
    """Print what would be done; end with 1 if it would be refused."""
    if as_json:
        warnings = preview.assessment.warnings if preview.assessment else ()
        print_json(
            {
                "moves": list(preview.plan.moves),
                "refusals": list(preview.refusals),
                "warnings": [warning.record() for warning in warnings],
            }
        )
        if preview.refusals:
            raise typer.Exit(1)
        return
    if preview.plan.came_from == preview.plan.stage and not preview.refusals:
        console.print(f"version {preview.plan.version} is in {preview.plan.stage} already: nothing to do")
        return
    for move in preview.plan.moves:
        console.print(move, highlight=False, markup=False)
    if preview.assessment is not None:
        for verdict in preview.assessment.warnings:
            console.print(f"policy {verdict.policy} ({verdict.mode}): {verdict.message}", markup=False)
    if preview.refusals:
        console.print("\n".join(("It would be refused:", *preview.refusals)), highlight=False, markup=False)
        raise typer.Exit(1)
    console.print("It would be done. Nothing was changed.")


def _history_row(record: Record) -> tuple[str, ...]:
    plan = record.plan
    texts = (
        plan.actor,
        plan.approval.by if plan.approval else "",
        plan.reason,
        (plan.links.get("training_run") or plan.links.get("source_run", ""))[:8],
    )
    what = f"{plan.kind.value}: {', '.join(plan.moves)}"
    return (str(plan.number), f"{plan.at:%Y-%m-%d %H:%M:%S}", what, record.state.value, *map(escape, texts))


def _import_rows(number: int, origin: Origin) -> list[tuple[str, ...]]:
    """What an imported version went through on the servers before this one, and its import."""
    run, rows = str(origin.run.id)[:8], []
    for hop in origin.hops:
        for link in hop.chain:
            what = f"{link.kind}: version {hop.version}: {link.came_from or 'no stage'} -> {link.stage}"
            texts = (link.by, link.approved_by or "", link.reason, run)
            what = escape(f"{what} [{hop.server}]")
            rows.append(("", f"{link.at:%Y-%m-%d %H:%M:%S}", what, link.state, *map(escape, texts)))
    last = origin.last
    signed = f"signed by {last.signer}" if last.signer else "unsigned"
    what = f"import: version {number} <- version {last.version} of {last.server}"
    texts = (origin.imported_by, "", f"bundle {last.bundle[:12]}, {signed}", run)
    rows.append(("", f"{origin.imported_at:%Y-%m-%d %H:%M:%S}", escape(what), "done", *map(escape, texts)))
    return rows
