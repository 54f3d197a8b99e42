"""Render a card from its content."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from zenml_mlops.cards.card import CardContent
from zenml_mlops.cards.plots import plots

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).with_name("templates")


def render_html(content: CardContent) -> str:
    """One page that needs no other file: style and plots are inside."""
    return _templates().get_template("card.html.j2").render(card=content, plots=plots(content))


def render_markdown(content: CardContent) -> str:
    """The same without the plots."""
    return _templates().get_template("card.md.j2").render(card=content)


@cache
def _templates() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    templates = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters["number"] = _number
    templates.filters["cell"] = _cell
    return templates


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _cell(text: object) -> str:
    """A text in a cell of a Markdown table or in a line: what would end either, or be read as HTML, is escaped."""
    escaped = str(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("[", "\\[")
    return " ".join(escaped.split())
