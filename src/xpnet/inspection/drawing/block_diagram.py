"""The picture of a large network: a block for every layer, and arrows with the shapes of its parameters."""

import math
from collections.abc import Sequence

from ..subject import by_shape, size_of
from .columns import Column
from .svg import FILLS, INK, LINE, MARGIN, OUTLINE, element, label, width_of

GAP, LEAST_HEIGHT, MOST_HEIGHT, LEAST_WIDTH = 44.0, 56.0, 170.0, 84.0
MIDDLE = MARGIN + MOST_HEIGHT / 2


def drawn_blocks(columns: Sequence[Column]) -> tuple[list[str], float, float]:
    """The shapes, and the picture's width and height."""
    largest = max(column.size for column in columns)
    shapes: list[str] = []
    x = left_edge = MARGIN
    for i, column in enumerate(columns):
        n_learned = size_of(column.parameters)
        lines = [*column.caption, *([f"{n_learned:,} parameters"] if n_learned else [])]
        half = max(LEAST_WIDTH, width_of(by_shape(column.shape), 18) + 24) / 2
        half_column = max(half, *(width_of(line) / 2 for line in lines))
        learned = [f"{p.name} {by_shape(p.shape)}" for p in column.parameters]
        room = max([GAP, *(width_of(text, 12) + 20 for text in learned)])
        centre = x + half_column if i == 0 else max(x + 20 + half_column, left_edge + room + half)
        if i > 0:
            shapes += _arrow(left_edge, centre - half, learned)
        fill = FILLS["x" if i == 0 else "ŷ" if i == len(columns) - 1 else "a"]
        shapes += _block(column, centre, half, math.log(column.size + 1) / math.log(largest + 1), fill)
        shapes += [
            label(line, centre, MARGIN + MOST_HEIGHT + LINE * (k + 0.8), font_weight="bold" if k == 0 else None)
            for k, line in enumerate(lines)
        ]
        x, left_edge = centre + half_column, centre + half
    return shapes, x + MARGIN, MARGIN + MOST_HEIGHT + LINE * 4.5 + MARGIN


def _block(column: Column, x: float, half: float, share: float, fill: str) -> list[str]:
    """A box as high as the logarithm of its size, which is this share of the largest one's."""
    height = LEAST_HEIGHT + (MOST_HEIGHT - LEAST_HEIGHT) * share
    box = {"x": x - half, "y": MIDDLE - height / 2, "width": 2 * half, "height": height, "rx": 8}
    return [
        element("rect", **box, fill=fill, stroke=OUTLINE, stroke_width=1.2),
        label(by_shape(column.shape), x, MIDDLE, 18, fill=INK),
    ]


def _arrow(x1: float, x2: float, learned: Sequence[str]) -> list[str]:
    """An arrow from block to block, with the parameters above it."""
    path = f"M{x1 + 6:.1f} {MIDDLE:.1f}H{x2 - 6:.1f}m-7 -5l7 5l-7 5"
    line = element("path", d=path, fill="none", stroke="currentColor", stroke_width=1.5)
    above = [label(text, (x1 + x2) / 2, MIDDLE - 14 - 16 * k, 12) for k, text in enumerate(reversed(learned))]
    return [line, *above]
