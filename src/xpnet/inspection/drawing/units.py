"""The picture of a small network: every unit, every bias node, every weight with its sign and size."""

from collections.abc import Sequence
from dataclasses import dataclass

from .columns import Column
from .svg import FILLS, INK, LINE, MARGIN, OUTLINE, PAPER, element, indexed, label, shortened, titled, width_of

RADIUS, LEAST_PITCH = 18.0, 160.0
POSITIVE, NEGATIVE, UNSIGNED = "#2f7fd0", "#d06a00", "#8b949e"
_MOST_VALUES = 24
_ALONG = 0.3, 0.38, 0.22, 0.46, 0.16, 0.54, 0.62, 0.7


@dataclass(frozen=True)
class Edge:
    """A weight w between two points; None where it is not known."""

    x1: float
    y1: float
    x2: float
    y2: float
    name: str
    w: float | None

    def at(self, t: float) -> tuple[float, float]:
        """The point after the share t of the way."""
        return self.x1 + t * (self.x2 - self.x1), self.y1 + t * (self.y2 - self.y1)


@dataclass(frozen=True)
class Plan:
    """Where everything lies: an x for each column, a y for each unit and for the bias node above them, if any."""

    columns: Sequence[Column]
    xs: Sequence[float]
    ys: Sequence[Sequence[float]]
    bias_ys: Sequence[float | None]
    width: float
    bottom: float


def drawn_units(
    columns: Sequence[Column], inputs: Sequence[str], outputs: Sequence[str]
) -> tuple[list[str], float, float]:
    """The shapes, and the picture's width and height."""
    inputs, outputs = ([shortened(name) for name in names] for names in (inputs, outputs))
    plan = _plan(columns, inputs, outputs)
    edges = [edge for i in range(1, len(columns)) for edge in _edges(plan, i)]
    largest = max((abs(edge.w) for edge in edges if edge.w is not None), default=0.0) or 1.0
    captions = [
        label(line, x, plan.bottom + LINE * (k + 1.2), font_weight="bold" if k == 0 else None)
        for column, x in zip(columns, plan.xs, strict=True)
        for k, line in enumerate(column.caption)
    ]
    bottom = plan.bottom + LINE * (max(len(column.caption) for column in columns) + 0.9)
    legend, legend_width = _legend(edges, any(y is not None for y in plan.bias_ys), largest, bottom + LINE)
    lines = [_line(edge, largest) for edge in edges]
    shapes = [*lines, *_nodes(plan, inputs, outputs), *_values(plan, edges, largest), *captions, *legend]
    return shapes, max(plan.width, legend_width), bottom + (LINE * 1.8 if legend else 0.0) + MARGIN / 2


def _plan(columns: Sequence[Column], inputs: Sequence[str], outputs: Sequence[str]) -> Plan:
    has_bias = [*(column.has("bias") for column in columns[1:]), False]
    rows = [column.size + bias for column, bias in zip(columns, has_bias, strict=True)]
    half = max(width_of(line) for column in columns for line in column.caption) / 2
    pitch = max(LEAST_PITCH, 2 * half + 20)
    left, right = (
        max(half + 4, RADIUS + 8 + max((width_of(name) for name in names), default=0.0)) for names in (inputs, outputs)
    )
    xs = [MARGIN + left + i * pitch for i in range(len(columns))]
    row = 72.0 if max(rows) <= 4 else 52.0
    height = (max(rows) - 1) * row
    tops = [MARGIN + RADIUS + (height - (n - 1) * row) / 2 for n in rows]
    ys = [
        [top + row * (bias + j) for j in range(column.size)]
        for column, top, bias in zip(columns, tops, has_bias, strict=True)
    ]
    bias_ys = [top if bias else None for top, bias in zip(tops, has_bias, strict=True)]
    return Plan(columns, xs, ys, bias_ys, xs[-1] + right + MARGIN, MARGIN + 2 * RADIUS + height)


def _edges(plan: Plan, i: int) -> list[Edge]:
    """The weights from column i - 1 to column i, and the biases."""
    W, b = plan.columns[i].values("weight"), plan.columns[i].values("bias")
    layer = plan.columns[i].layers[0]
    x1, x2, bias_y = plan.xs[i - 1], plan.xs[i], plan.bias_ys[i - 1]
    edges = [
        Edge(x1, y1, x2, y2, f"W{layer}[{j + 1}, {k + 1}]", None if W is None else float(W[j, k]))
        for j, y1 in enumerate(plan.ys[i - 1])
        for k, y2 in enumerate(plan.ys[i])
    ]
    if bias_y is None:
        return edges
    return edges + [
        Edge(x1, bias_y, x2, y2, f"b{layer}[{k + 1}]", None if b is None else float(b[k]))
        for k, y2 in enumerate(plan.ys[i])
    ]


def _line(edge: Edge, largest: float) -> str:
    name = edge.name if edge.w is None else f"{edge.name} = {edge.w:.4g}"
    at = {"x1": edge.x1, "y1": edge.y1, "x2": edge.x2, "y2": edge.y2}
    return element("line", titled(name), **at, **_stroke(edge.w, largest))


def _stroke(w: float | None, largest: float) -> dict[str, object]:
    """Solid and blue above 0, dashed and orange below, as wide as |w| beside the largest; grey where w is 0
    or not known.
    """
    if not w:
        return {"stroke": UNSIGNED, "stroke_width": 1.2 if w is None else 0.8}
    style: dict[str, object] = {"stroke": NEGATIVE, "stroke_dasharray": "7 4"} if w < 0 else {"stroke": POSITIVE}
    return style | {"stroke_width": 0.8 + 3.6 * abs(w) / largest}


def _nodes(plan: Plan, inputs: Sequence[str], outputs: Sequence[str]) -> list[str]:
    shapes, last = [], len(plan.columns) - 1
    for i, (x, ys, bias_y) in enumerate(zip(plan.xs, plan.ys, plan.bias_ys, strict=True)):
        letter = "x" if i == 0 else "ŷ" if i == last else "a"
        names = inputs if i == 0 else outputs if i == last else ()
        for j, y in enumerate(ys):
            shapes += _node(x, y, FILLS[letter], indexed(letter, j + 1 if len(ys) > 1 else None, x, y))
            if len(names) == len(ys):
                side, anchor = (-1, "end") if i == 0 else (1, "start")
                shapes.append(label(names[j], x + side * (RADIUS + 8), y, anchor=anchor))
        if bias_y is not None:
            shapes += _node(x, bias_y, FILLS["bias"], label("1", x, bias_y, 14, fill=INK))
    return shapes


def _node(x: float, y: float, fill: str, inside: str) -> list[str]:
    return [element("circle", cx=x, cy=y, r=RADIUS, fill=fill, stroke=OUTLINE, stroke_width=1.2), inside]


def _values(plan: Plan, edges: Sequence[Edge], largest: float) -> list[str]:
    """Each weight in figures on its line, where they are few and all find a place; otherwise none of them."""
    if len(edges) > _MOST_VALUES or any(edge.w is None for edge in edges):
        return []
    columns = zip(plan.xs, plan.ys, plan.bias_ys, strict=True)
    taken = [
        (x, y, RADIUS, RADIUS) for x, ys, bias_y in columns for y in [*ys, *([bias_y] if bias_y is not None else [])]
    ]
    shapes = []
    for edge in edges:
        text = f"{edge.w:.3g}".replace("-", "−")
        half = width_of(text, 12) / 2 + 3
        places = (edge.at(t) for t in _ALONG)
        free = next((place for place in places if not any(_meet(place, half, other) for other in taken)), None)
        if free is None:
            return []
        x, y = free
        taken.append((x, y, half, 9.0))
        box = {"x": x - half, "y": y - 9.0, "width": 2 * half, "height": 18.0, "rx": 5}
        border = _stroke(edge.w, largest)["stroke"]
        shapes += [element("rect", **box, fill=PAPER, stroke=border), label(text, x, y, 12, fill=INK)]
    return shapes


def _meet(place: tuple[float, float], half: float, other: tuple[float, float, float, float]) -> bool:
    x, y, half_width, half_height = other
    return abs(place[0] - x) < half + half_width + 2 and abs(place[1] - y) < 9.0 + half_height + 2


def _legend(edges: Sequence[Edge], has_bias: bool, largest: float, y: float) -> tuple[list[str], float]:
    """What yellow nodes and lines mean, from left to right; and where it ends."""
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
