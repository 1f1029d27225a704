"""A record as plain text and as Markdown."""

import itertools
import textwrap
from typing import Any

import numpy as np

from .quantity import Quantity

Record = Any  # its class imports this module

WIDTH = 100
"""Columns of the text."""


def number(x: float, digits: int = 6) -> str:
    """A number in few digits; -0 is 0."""
    return f"{0.0 if x == 0 else x:.{digits}g}"


def rows(a: np.ndarray, digits: int = 6) -> list[list[str]]:
    """An array's numbers as text, row by row; a number or a vector is one row."""
    return [[number(x, digits) for x in row] for row in np.atleast_2d(a).tolist()]


def shape(a: np.ndarray) -> str:
    """(2, 3) as "2 × 3"; a number has none."""
    return " × ".join(map(str, a.shape))


def aligned(a: np.ndarray, digits: int = 6) -> list[str]:
    """An array's rows as lines, its columns one below the other."""
    cells = rows(a, digits)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in cells]


def summary(q: Quantity) -> str:
    """A large array in a line."""
    s = q.summary()
    named = ", ".join(f"{name} {number(s[name], 4)}" for name in ("min", "mean", "max", "norm"))
    return f"{named}, {100.0 * s['zeros']:.3g} % zeros"


def verdict(record: Record) -> str:
    """How many gradients agree with central differences; empty where none was checked."""
    checks = [q.check for q in record if q.check is not None]
    if not checks:
        return ""
    count = {name: sum(check.verdict == name for check in checks) for name in ("agrees", "kink", "differs")}
    said = f"{count['agrees']} of {len(checks)} gradients agree with central differences of the forward pass"
    if count["kink"]:
        said += f"; {count['kink']} lie at a kink"
    return said + (f"; {count['differs']} DISAGREE" if count["differs"] else "")


def beside(q: Quantity) -> str:
    """What the document calls this, what it prints, and whether ours is the same; empty where it says nothing."""
    if q.symbol is None or (q.printed is None and q.symbol == q.name):
        return ""
    if q.printed is None:
        return f"in the document: {q.symbol}"
    printed = "; ".join("  ".join(row) for row in rows(q.printed))
    return f"the document prints {q.symbol} = {printed}: {'the same' if q.is_as_printed else 'NOT THE SAME'}"


def groups(record: Record) -> list[tuple[str, list[Quantity]]]:
    """The quantities in order, in groups with a heading each."""
    grouped = itertools.groupby(record, key=lambda q: (q.section, q.layer))
    return [(heading(record, section, layer), list(of_group)) for (section, layer), of_group in grouped]


def heading(record: Record, section: str, layer: int) -> str:
    """What a group of quantities is called."""
    return f"{section}, layer {layer}: {record.layers[layer - 1]}" if layer else section


def facts(record: Record) -> dict[str, str]:
    """The record's facts, and what came of the step and of the check."""
    change = f"J = {number(record['J'].value.item())} before the step, {number(record['J new'].value.item())} after it"
    found = {**record.facts, "cost": change, "check": verdict(record)}
    compared = [q.is_as_printed for q in record if q.printed is not None]
    if compared:
        found["document"] = f"{sum(map(bool, compared))} of {len(compared)} printed results are ours"
    return {name: said for name, said in found.items() if said}


def as_text(record: Record) -> str:
    """The record for a terminal."""
    lines = [record.title, ""]
    lines += [f"{name:<10}{said}" for name, said in facts(record).items()]
    lines += [f"{'note':<10}{note}" for note in record.notes]
    for title, quantities in groups(record):
        lines += ["", f"── {title} ".ljust(WIDTH, "─")]
        for q in quantities:
            lines += ["", *_quantity(q)]
    return "\n".join(lines) + "\n"


def _quantity(q: Quantity) -> list[str]:
    said = q.equation if q.equation.startswith(q.name) else f"{q.name}: {q.equation}"
    lines = textwrap.wrap(said, WIDTH - 14, subsequent_indent="    ")
    lines[0] = f"{lines[0]:<{WIDTH - 12}}{shape(q.value):>12}"
    if q.is_small:
        lines += [f"      {row}" for row in aligned(q.value)]
    else:
        lines += [f"      {summary(q)}; it begins", *(f"      {row} …" for row in aligned(q.corner, 4))]
    remarks = [beside(q), str(q.check) if q.check is not None else "", f"[{q.source}]" if q.source else ""]
    for remark in filter(None, remarks):
        lines += textwrap.wrap(remark, WIDTH - 4, initial_indent="    ", subsequent_indent="    ")
    return [line.rstrip() for line in lines]


def as_markdown(record: Record) -> str:
    """The record as Markdown: a table a group."""
    lines = [f"# {record.title}", ""]
    lines += [f"- **{name}**: {said}" for name, said in facts(record).items()]
    lines += [f"- **note**: {note}" for note in record.notes]
    for title, quantities in groups(record):
        lines += ["", f"## {title.capitalize() if title.islower() else title[0].upper() + title[1:]}", ""]
        lines += ["| | equation | shape | values | remarks |", "| --- | --- | --- | --- | --- |"]
        for q in quantities:
            remarks = [beside(q), str(q.check) if q.check is not None else "", q.source]
            cells = [f"**{q.name}**", q.equation, shape(q.value), _cell(q), "; ".join(filter(None, remarks))]
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|').strip() for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _cell(q: Quantity) -> str:
    if q.is_small:
        return "<br>".join(f"`{'  '.join(row)}`" for row in rows(q.value))
    return f"{summary(q)}; it begins `{'  '.join(rows(q.corner, 4)[0])}` …"
