"""A lineage as a page that needs no other file, and as a graph for Graphviz."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from zenml_mlops.lineage.nodes import Node, Report, State
from zenml_mlops.pages import templates

_WIDTH, _HEIGHT, _ACROSS, _DOWN = 270, 42, 46, 12
_LETTERS = 38
COLORS: Final = {
    State.RECORDED: "#e8f1fb",
    State.IMPORTED: "#efe6fa",
    State.NONE: "#f1f1f1",
    State.CHANGED: "#ffe9c7",
    State.MISSING: "#fbdcdc",
}
"""Fill of a link's box, by its state."""


@dataclass(frozen=True)
class _Box:
    node: Node
    x: int
    y: int
    parent: _Box | None

    @property
    def label(self) -> str:
        return self.node.kind.value.replace("_", " ")

    @property
    def short(self) -> str:
        title = self.node.title
        return title if len(title) <= _LETTERS else f"{title[: _LETTERS - 1]}…"

    @property
    def color(self) -> str:
        return COLORS[self.node.state]

    @property
    def path(self) -> str:
        """The line from the parent's box to this one."""
        if self.parent is None:
            return ""
        start, end = self.parent.x + _WIDTH, self.x
        above, here, middle = self.parent.y + _HEIGHT // 2, self.y + _HEIGHT // 2, (start + end) // 2
        return f"M{start},{above} C{middle},{above} {middle},{here} {end},{here}"


def to_html(report: Report, heading: str) -> str:
    """The lineage as a picture with all facts below; nothing is fetched when it is opened."""
    found = templates(__file__)
    found.filters["fact"] = _fact
    drawings = [_drawing(tree) for tree in report.trees]
    return found.get_template("lineage.html.j2").render(
        heading=heading, report=report, drawings=drawings, colors=COLORS, width=_WIDTH, height=_HEIGHT
    )


def to_dot(report: Report) -> str:
    """The lineage in Graphviz's language."""
    lines = [
        "digraph lineage {",
        "  rankdir=LR;",
        '  node [shape=box, style="filled,rounded", fontname=Helvetica];',
    ]
    number = 0

    def add(node: Node, parent: int | None) -> None:
        nonlocal number
        number += 1
        mine = number
        note = "" if node.state is State.RECORDED else f" ({node.state.value})"
        text = json.dumps(f"{node.kind.value}{note}\n{node.title}", ensure_ascii=False)
        lines.append(f'  n{mine} [label={text}, fillcolor="{COLORS[node.state]}"];')
        if parent is not None:
            lines.append(f"  n{parent} -> n{mine};")
        for child in node.children:
            add(child, mine)

    for tree in report.trees:
        add(tree, None)
    return "\n".join([*lines, "}"]) + "\n"


def _drawing(tree: Node) -> dict[str, Any]:
    boxes = list(_placed(tree, None, 0, [0]))
    return {
        "tree": tree,
        "boxes": boxes,
        "width": max(box.x for box in boxes) + _WIDTH + 2,
        "height": max(box.y for box in boxes) + _HEIGHT + 2,
    }


def _placed(node: Node, parent: _Box | None, depth: int, line: list[int]) -> Iterator[_Box]:
    """Place a link beside its first child, its children below each other; ``line`` is the next free one."""
    box = _Box(node, 1 + depth * (_WIDTH + _ACROSS), 1 + line[0] * (_HEIGHT + _DOWN), parent)
    yield box
    if not node.children:
        line[0] += 1
    for child in node.children:
        yield from _placed(child, box, depth + 1, line)


def _fact(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
