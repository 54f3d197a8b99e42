"""``mlops models compare``, ``current`` and ``candidate``: versions side by side, and their numbers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zenml_mlops.cli.options import Environment
from zenml_mlops.cli.sentences import entered

if TYPE_CHECKING:
    from zenml_airflow.contracts.model_records import Comparison
    from zenml_mlops.cards.card import CardContent

ModelName = Annotated[str, typer.Argument(help="Model, such as readmission_risk.")]
Stage = Annotated[str, typer.Option("--stage", help="Stage: staging or production.")]
MISSING = "–"  # noqa: RUF001 - a dash, as in the model card


def champion(model: ModelName, stage: Stage = "production", environment: Environment = "local") -> None:
    """Print the number of the version that is in a stage, and nothing else; exit with 1 if the stage is empty.

    For example: `mlops models champion readmission_risk`
    """
    with entered(environment):
        number = _in_stage(model, stage)
        if number is None:
            raise ValueError(f"No version of {model!r} is in {stage}.")
        sys.stdout.write(f"{number}\n")


def candidate(model: ModelName, stage: Stage = "production", environment: Environment = "local") -> None:
    """Print the number of the newest version that could enter a stage, and nothing else; exit with 1 without one.

    Its run completed, its gates passed, and nobody rejected it for that stage.

    For example: `mlops models candidate readmission_risk`
    """
    with entered(environment):
        from zenml_mlops.promotion import candidate_or_refusal

        sys.stdout.write(f"{candidate_or_refusal(model, stage)}\n")


def compare(
    model: ModelName,
    version: Annotated[
        int | None, typer.Argument(help="Number of the version; by default the newest that could enter the stage.")
    ] = None,
    against: Annotated[
        int | None, typer.Option("--against", help="Other version; by default the one in the stage.")
    ] = None,
    stage: Stage = "production",
    environment: Environment = "local",
) -> None:
    """Print the metrics of two versions side by side, as Markdown for the comment of a pull request.

    Each column is what that version's own evaluation recorded, on its own test rows. Where `champion_challenger`
    has compared the version on rows that neither trained on, its verdict stands above the table.

    For example: `mlops models compare readmission_risk`
    """
    with entered(environment):
        from zenml_mlops.cards.records import recorded_card
        from zenml_mlops.promotion import candidate_or_refusal

        number = version if version is not None else candidate_or_refusal(model, stage)
        other = against if against is not None else _in_stage(model, stage)
        if other == number:
            other = None
        newer = recorded_card(model, number)
        older = None if other is None else recorded_card(model, other)
        sys.stdout.write(markdown(newer, older, stage=stage, comparison=comparison_of(model, number)))


def markdown(newer: CardContent, older: CardContent | None, *, stage: str, comparison: Any | None) -> str:
    """Two versions' recorded metrics as a Markdown table.

    Args:
        stage: Stage that the other version is in, for the sentence that says there is none.
        comparison: What ``champion_challenger`` recorded for the version, if it has run.
    """
    failures = newer.gates.failures
    gates = "all gates passed" if newer.gates.passed else f"**{len(failures)} gates failed**"
    lines = [
        f"## {newer.model} version {newer.version}",
        "",
        f"Trained {newer.made_at:%Y-%m-%d %H:%M %Z}; {gates}.",
    ]
    if comparison is not None:
        lines += ["", f"Champion and challenger: **{comparison.verdict.value}**. {_cell(comparison.reason)}"]
    if older is None:
        lines += ["", f"There is no other version in {stage} to compare it with."]
    names = [
        *newer.metrics.metrics,
        *(n for n in (older.metrics.metrics if older else {}) if n not in newer.metrics.metrics),
    ]
    heads = ["metric", f"version {newer.version}", "interval"]
    if older is not None:
        heads += [f"version {older.version}", "interval", "difference"]
    lines += ["", f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
    for name in names:
        cells = [_cell(name), *_estimate(newer, name)]
        if older is not None:
            cells += [*_estimate(older, name), _difference(newer, older, name)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _estimate(card: CardContent, name: str) -> tuple[str, str]:
    found = card.metrics.metrics.get(name)
    if found is None:
        return MISSING, MISSING
    return f"{found.value:.4f}", f"{found.lower:.4f} to {found.upper:.4f}"


def _difference(newer: CardContent, older: CardContent, name: str) -> str:
    left, right = newer.metrics.metrics.get(name), older.metrics.metrics.get(name)
    return MISSING if left is None or right is None else f"{left.value - right.value:+.4f}"


def _cell(text: str) -> str:
    """Text that cannot break out of its cell or its sentence."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


def _in_stage(model: str, stage: str) -> int | None:
    from zenml_mlops.promotion.overview import version_rows

    if stage not in {"staging", "production"}:
        raise ValueError(f"No stage {stage!r}: staging or production.")
    return next((int(row["version"]) for row in version_rows(model) if row["stage"] == stage), None)


def comparison_of(model: str, number: int) -> Comparison | None:
    """What ``champion_challenger`` found about a version; ``None`` if it has not looked at it."""
    from zenml.client import Client

    from zenml_airflow.contracts.model_records import comparison

    return comparison(Client().get_model_version(model, number).run_metadata)
