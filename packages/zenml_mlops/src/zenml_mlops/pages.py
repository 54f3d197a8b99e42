"""Self-contained HTML pages with plots, the same bytes for the same numbers."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from jinja2 import Environment

INK: Final = "#1f5f8b"
REFERENCE: Final = "#8a8a8a"
_STYLE = "body{font:15px/1.5 sans-serif;max-width:60em;margin:2em auto}td,th{padding:.2em .8em;text-align:left}"


def page(title: str, parts: Sequence[str]) -> str:
    """A page of the parts, each of them HTML."""
    head = f"<meta charset='utf-8'><title>{escape(title)}</title><style>{_STYLE}</style>"
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{''.join(parts)}</body></html>"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table with a head, which is HTML; what stands in the cells is escaped."""
    cells = "".join(f"<th>{name}</th>" for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{cells}</tr>{body}</table>"


def templates(module: str) -> Environment:
    """The templates beside a module, given by its file; what stands in an HTML page is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    return Environment(
        loader=FileSystemLoader(Path(module).with_name("templates")),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def plot(height: float, draw: Callable[[Any], None], *, width: float = 6.4, salt: str = "comparison") -> str:
    """One set of axes as an SVG element.

    Args:
        height: Height in inches.
    """
    # The object interface: pyplot keeps figures alive and picks a screen's backend.
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # Text as text, so that a page can be searched; a fixed salt, so that the same page has the same bytes.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": salt, "font.size": 9}):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return re.sub(r"^.*?(?=<svg )", "", buffer.getvalue(), flags=re.DOTALL)
