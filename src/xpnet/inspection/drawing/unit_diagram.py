"""The picture of a small network: every unit, every bias node, every weight with its sign and size."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from .columns import Column
from .svg import FILLS, INK, LINE, MARGIN, OUTLINE, PAPER, element, indexed, label, shortened, titled, width_of

RADIUS, LEAST_PITCH = 18.0, 160.0
POSITIVE, NEGATIVE, UNSIGNED = "#2f7fd0", "#d06a00", "#8b949e"
_MOST_VALUES = 24
_ALONG = 0.3, 0.38, 0.22, 0.46, 0.16, 0.54, 0.62, 0.7


@dataclass(frozen=True)
class Node:
    """A unit with its letter and index, or a bias node (letter "1"), and the name beside it if it has one."""

    x: float
    y: float
    letter: str
    index: int | None = None
    name: str = ""


@dataclass(frozen=True)
class Edge:
    """A weight w between two nodes; None if it is not known."""

    start: Node
    end: Node
    name: str
    w: float | None

    def at(self, t: float) -> tuple[float, float]:
        """The point after the share t of the line."""
        return self.start.x + t * (self.end.x - self.start.x), self.start.y + t * (self.end.y - self.start.y)


def drawn_units(
    columns: Sequence[Column], inputs: Sequence[str], outputs: Sequence[str]
) -> tuple[list[str], float, float]:
    """The shapes, and the picture's width and height."""
    nodes, width, bottom = _placed(columns, [*map(shortened, inputs)], [*map(shortened, outputs)])
    edges = _edges(columns, nodes)
    largest = max((abs(edge.w) for edge in edges if edge.w is not None), default=0.0) or 1.0
    lines = [_line(edge, largest) for edge in edges]
    circles = [shape for node in chain(*nodes) for shape in _drawn_node(node)]
    captions = [
        label(line, at[0].x, bottom + LINE * (k + 1.2), font_weight="bold" if k == 0 else None)
        for column, at in zip(columns, nodes, strict=True)
        for k, line in enumerate(column.caption)
    ]
    bottom += LINE * (max(len(column.caption) for column in columns) + 0.9)
    legend, legend_width = _legend(edges, any(column.learned("bias") for column in columns[1:]), largest, bottom + LINE)
    shapes = [*lines, *circles, *_values([*chain(*nodes)], edges, largest), *captions, *legend]
    return shapes, max(width, legend_width), bottom + (LINE * 1.8 if legend else 0.0) + MARGIN / 2


def _placed(
    columns: Sequence[Column], inputs: Sequence[str], outputs: Sequence[str]
) -> tuple[list[list[Node]], float, float]:
    """Each column's units, then its bias node if it has one; the picture's width; and the bottom of the nodes."""
    half = max(width_of(line) for column in columns for line in column.caption) / 2
    pitch = max(LEAST_PITCH, 2 * half + 20)
    left, right = (
        max(half + 4, RADIUS + 8 + max(map(width_of, names), default=0.0)) + MARGIN for names in (inputs, outputs)
    )
    has_bias = [*(bool(column.learned("bias")) for column in columns[1:]), False]
    n_rows = [column.size + bias for column, bias in zip(columns, has_bias, strict=True)]
    row, last = 72.0 if max(n_rows) <= 4 else 52.0, len(columns) - 1
    nodes = []
    for i, column in enumerate(columns):
        x, top = left + i * pitch, MARGIN + RADIUS + (max(n_rows) - n_rows[i]) * row / 2
        letter, names = ("x", inputs) if i == 0 else ("ŷ", outputs) if i == last else ("a", [])
        names = names if len(names) == column.size else [""] * column.size
        units = [
            Node(x, top + row * (has_bias[i] + j), letter, j + 1 if column.size > 1 else None, name)
            for j, name in enumerate(names)
        ]
        nodes.append(units + [Node(x, top, "1")] * has_bias[i])
    return nodes, left + last * pitch + right, MARGIN + 2 * RADIUS + (max(n_rows) - 1) * row


def _edges(columns: Sequence[Column], nodes: Sequence[list[Node]]) -> list[Edge]:
    """The weights and biases that lead to each column from the one before."""
    edges = []
    for i in range(1, len(columns)):
        ends, k = nodes[i][: columns[i].size], columns[i].layers[0]
        ((_, W),) = columns[i].learned("weight")
        for j, start in enumerate(nodes[i - 1][: columns[i - 1].size]):
            names = (f"W{k}[{j + 1}, {n}]" for n in range(1, len(ends) + 1))
            edges += _fan(start, ends, names, None if W is None else W[j])
        for _, b in columns[i].learned("bias"):
            edges += _fan(nodes[i - 1][-1], ends, (f"b{k}[{n}]" for n in range(1, len(ends) + 1)), b)
    return edges


def _fan(start: Node, ends: Sequence[Node], names: Iterable[str], weights: np.ndarray | None) -> list[Edge]:
    """The edges from one node to each unit of the next column."""
    values = [None] * len(ends) if weights is None else map(float, weights)
    return [Edge(start, end, name, w) for end, name, w in zip(ends, names, values, strict=True)]


def _line(edge: Edge, largest: float) -> str:
    name = edge.name if edge.w is None else f"{edge.name} = {edge.w:.4g}"
    at = {"x1": edge.start.x, "y1": edge.start.y, "x2": edge.end.x, "y2": edge.end.y}
    return element("line", titled(name), **at, **_stroke(edge.w, largest))


def _stroke(w: float | None, largest: float) -> dict[str, object]:
    """Solid and blue above 0, dashed and orange below, the larger the wider; gray if w is 0 or not known."""
    if not w:
        return {"stroke": UNSIGNED, "stroke_width": 1.2 if w is None else 0.8}
    style: dict[str, object] = {"stroke": NEGATIVE, "stroke_dasharray": "7 4"} if w < 0 else {"stroke": POSITIVE}
    return style | {"stroke_width": 0.8 + 3.6 * abs(w) / largest}


def _drawn_node(node: Node) -> list[str]:
    x, y, fill = node.x, node.y, FILLS["bias" if node.letter == "1" else node.letter]
    circle = element("circle", cx=x, cy=y, r=RADIUS, fill=fill, stroke=OUTLINE, stroke_width=1.2)
    if node.letter == "1":
        return [circle, label("1", x, y, 14, fill=INK)]
    side, anchor = (-1, "end") if node.letter == "x" else (1, "start")
    name = [label(node.name, x + side * (RADIUS + 8), y, anchor=anchor)] if node.name else []
    return [circle, indexed(node.letter, node.index, x, y), *name]


def _values(nodes: Sequence[Node], edges: Sequence[Edge], largest: float) -> list[str]:
    """Each weight as a number on its line, if they are few and all find a place; otherwise none of them."""
    if len(edges) > _MOST_VALUES or any(edge.w is None for edge in edges):
        return []
    taken = [(node.x, node.y, RADIUS, RADIUS) for node in nodes]
    shapes = []
    for edge in edges:
        text = f"{edge.w:.3g}".replace("-", "−")
        half = width_of(text, 12) / 2 + 3
        free = next((edge.at(t) for t in _ALONG if not any(_meet(edge.at(t), half, box) for box in taken)), None)
        if free is None:
            return []
        x, y = free
        taken.append((x, y, half, 9.0))
        box = {"x": x - half, "y": y - 9.0, "width": 2 * half, "height": 18.0, "rx": 5}
        border = _stroke(edge.w, largest)["stroke"]
        shapes += [element("rect", **box, fill=PAPER, stroke=border), label(text, x, y, 12, fill=INK)]
    return shapes


def _meet(place: tuple[float, float], half: float, box: tuple[float, float, float, float]) -> bool:
    x, y, half_width, half_height = box
    return abs(place[0] - x) < half + half_width + 2 and abs(place[1] - y) < 9.0 + half_height + 2


def _legend(edges: Sequence[Edge], has_bias: bool, largest: float, y: float) -> tuple[list[str], float]:
    """The meaning of yellow nodes and of lines, from left to right; and where the legend ends."""
    x, shapes = MARGIN, []
    if has_bias:
        dot = element("rect", x=x, y=y - 6, width=12, height=12, rx=6, fill=FILLS["bias"], stroke=OUTLINE)
        shapes += [dot, label("bias", x + 18, y, 12, "start")]
        x += 18 + width_of("bias", 12) + 16
    if any(edge.w is not None for edge in edges):
        for w, text in ((largest, "above 0"), (-largest, "below 0")):
            line = element("path", d=f"M{x:.1f} {y:.1f}h36", fill="none", **_stroke(w * 2 / 3, largest))
            shapes += [line, label(text, x + 42, y, 12, "start")]
            x += 42 + width_of(text, 12) + 12
        text = f"width: |w|, at most {largest:.3g}"
        shapes.append(label(text, x, y, 12, "start"))
        x += width_of(text, 12)
    return shapes, x + MARGIN
