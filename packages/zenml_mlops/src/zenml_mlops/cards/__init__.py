"""Model cards: one self-contained HTML page and the same as Markdown."""

from zenml_mlops.cards.render import render_html, render_markdown

__all__ = ["render_html", "render_markdown"]
