"""What a model card says: plain data, loaded with a configuration, so no heavy import."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from zenml_airflow.contracts.frozen import Frozen
from zenml_mlops.gates.curves import Curves
from zenml_mlops.gates.limits import GateReport, Measure, MetricReport

# Names of the artifacts that hold a version's card: as HTML, as Markdown, and what both are made of.
CARD_ARTIFACT = "model_card"
CARD_TEXT_ARTIFACT = "model_card_text"
CARD_CONTENT_ARTIFACT = "model_card_content"

DECISIONS_METADATA = "decisions"
"""Key of a version's metadata that lists the decisions on it, oldest first."""


class CardTexts(Frozen):
    """What people say of a model; stands in ``configs/``.

    Attributes:
        purpose: What it is for.
        owner: Who answers for it.
        intended_use: Who uses it, how.
        not_for: What it must not be used for.
        data: Where its data comes from and whom it describes.
        limits: What is known to be weak about it.
    """

    title: str = Field(min_length=1)
    purpose: str = Field(min_length=1)
    owner: str = Field(min_length=1)
    intended_use: str = Field(min_length=1)
    not_for: tuple[str, ...] = Field(min_length=1)
    data: str = Field(min_length=1)
    limits: tuple[str, ...] = Field(min_length=1)


class Decision(Frozen):
    """A decision on a version: who let it do what, when, and why."""

    action: str
    by: str
    at: AwareDatetime
    reason: str


class CardContent(Frozen):
    """Everything that a card shows.

    Attributes:
        made_at: When it was trained.
        facts: What it was made of, by name: data digest, rows, commit, runs.
        groups: What was found about groups of people.
        decisions: Decisions on the version, oldest first.
    """

    model: str
    version: int
    made_at: AwareDatetime
    texts: CardTexts
    facts: dict[str, str]
    threshold: float = Field(gt=0, lt=1)
    metrics: MetricReport
    curves: Curves
    gates: GateReport
    groups: tuple[Measure, ...] = ()
    decisions: tuple[Decision, ...] = ()
