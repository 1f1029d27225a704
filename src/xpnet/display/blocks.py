"""The picture of a large network: a block for every layer, arrows with the shapes of what is learned between them."""

import math
from collections.abc import Sequence

from .columns import Column
from .subject import by_shape
from .svg import FILLS, INK, LINE, MARGIN, OUTLINE, element, label, width_of

GAP, LEAST_HEIGHT, MOST_HEIGHT, LEAST_WIDTH = 44.0, 56.0, 170.0, 84.0


def drawn_blocks(columns: Sequence[Column]) -> tuple[list[str], float, float]:
    """The shapes, and the picture's width and height."""
    middle = MARGIN + MOST_HEIGHT / 2
    largest = max(column.size for column in columns)
    shapes: list[str] = []
    x = MARGIN
    for i, column in enumerate(columns):
        learned = [f"{p.name} {by_shape(p.shape)}" for p in column.parameters]
        if i > 0:
            room = max([GAP, *(width_of(text, 12) + 20 for text in learned)])
            shapes += _arrow(x, x + room, middle, learned)
            x += room
        lines = [*column.caption, *([f"{column.n_parameters:,} parameters"] if column.n_parameters else [])]
        width = max([LEAST_WIDTH, width_of(by_shape(column.shape), 18) + 24])
        column_width = max([width, *(width_of(line) for line in lines)])
        centre = x + column_width / 2
        shapes += _block(column, centre, middle, width, largest, i == 0, i == len(columns) - 1)
        shapes += [
            label(line, centre, MARGIN + MOST_HEIGHT + LINE * (k + 0.8), font_weight="bold" if k == 0 else None)
            for k, line in enumerate(lines)
        ]
        x += column_width
    return shapes, x + MARGIN, MARGIN + MOST_HEIGHT + LINE * 4.5 + MARGIN


def _block(column: Column, x: float, y: float, width: float, largest: int, is_first: bool, is_last: bool) -> list[str]:
    """As high as the logarithm of its size."""
    share = math.log(column.size + 1) / math.log(largest + 1)
    height = LEAST_HEIGHT + (MOST_HEIGHT - LEAST_HEIGHT) * share
    box = {"x": x - width / 2, "y": y - height / 2, "width": width, "height": height, "rx": 8}
    fill = FILLS["x" if is_first else "ŷ" if is_last else "a"]
    return [
        element("rect", **box, fill=fill, stroke=OUTLINE, stroke_width=1.2),
        label(by_shape(column.shape), x, y, 18, fill=INK),
    ]


def _arrow(x1: float, x2: float, y: float, learned: Sequence[str]) -> list[str]:
    """From block to block, with what is learned on the way above it."""
    head = f"M{x1 + 6:.1f} {y:.1f}H{x2 - 8:.1f}m-7 -5l7 5l-7 5"
    line = element("path", d=head, fill="none", stroke="currentColor", stroke_width=1.5)
    above = [label(text, (x1 + x2) / 2, y - 14 - 16 * k, 12) for k, text in enumerate(reversed(learned))]
    return [line, *above]
