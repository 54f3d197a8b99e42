"""Render a card from its content."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from zenml_mlops.cards.card import CardContent
from zenml_mlops.cards.plots import plots
from zenml_mlops.pages import templates

if TYPE_CHECKING:
    from jinja2 import Environment


def render_html(content: CardContent) -> str:
    """One page that needs no other file: style and plots are inside."""
    return _templates().get_template("card.html.j2").render(card=content, plots=plots(content))


def render_markdown(content: CardContent) -> str:
    """The same without the plots."""
    return _templates().get_template("card.md.j2").render(card=content)


@cache
def _templates() -> Environment:
    found = templates(__file__)
    found.filters["number"] = _number
    found.filters["cell"] = _cell
    return found


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _cell(text: object) -> str:
    """A text in a cell of a Markdown table or in a line: what would end either, or be read as HTML, is escaped."""
    escaped = str(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("[", "\\[")
    return " ".join(escaped.split())
