"""An explanation as text and as Markdown; its groups, facts and remarks are the same on the page."""

import itertools
import textwrap
from typing import Any

import numpy as np

from .quantity import Quantity

Explanation = Any  # its class imports this module

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


def summary(q: Quantity) -> dict[str, str]:
    """A large array's summary as text, by name."""
    s = q.summary()
    return {name: number(s[name], 4) for name in ("min", "mean", "max", "norm")} | {
        "zeros": f"{100.0 * s['zeros']:.3g} %"
    }


def summary_line(q: Quantity) -> str:
    """A large array's summary in one line."""
    *named, (_, zeros) = summary(q).items()
    return f"{', '.join(f'{name} {x}' for name, x in named)}, {zeros} zeros; it begins"


def beside(q: Quantity) -> str:
    """The document's name of it, its printed numbers and whether ours are the same; empty if it has none."""
    if q.symbol is None or (q.printed is None and q.symbol == q.name):
        return ""
    if q.printed is None:
        return f"in the document: {q.symbol}"
    printed = "; ".join("  ".join(row) for row in rows(q.printed))
    return f"the document prints {q.symbol} = {printed}: {'the same' if q.is_as_printed else 'NOT THE SAME'}"


def groups(explanation: Explanation) -> list[tuple[str, list[Quantity]]]:
    """The quantities in order, in groups with a heading each."""
    grouped = itertools.groupby(explanation, key=lambda q: (q.section, q.layer))
    layers = explanation.layers
    return [
        (f"{section}, layer {k}: {layers[k - 1]}" if k else section, list(of_group))
        for (section, k), of_group in grouped
    ]


def verdict(explanation: Explanation) -> str:
    """How many gradients agree with central differences; empty if none was checked."""
    found = [q.check.verdict for q in explanation if q.check is not None]
    if not found:
        return ""
    text = f"{found.count('agrees')} of {len(found)} gradients agree with central differences of the forward pass"
    if "kink" in found:
        text += f"; {found.count('kink')} lie at a kink"
    return text + (f"; {found.count('differs')} DISAGREE" if "differs" in found else "")


def facts(explanation: Explanation) -> dict[str, str]:
    """The explanation's facts, and the outcome of the step and of the check."""
    before, after = (number(explanation[name].value.item()) for name in ("J", "J new"))
    cost = f"J = {before} before the step, {after} after it"
    found = {**explanation.facts, "cost": cost, "check": verdict(explanation)}
    compared = [q.is_as_printed for q in explanation if q.printed is not None]
    if compared:
        found["document"] = f"{sum(map(bool, compared))} of {len(compared)} printed results are ours"
    return {name: text for name, text in found.items() if text}


def as_text(explanation: Explanation) -> str:
    """The explanation for a terminal."""
    lines = [explanation.title, ""]
    lines += [f"{name:<10}{text}" for name, text in facts(explanation).items()]
    lines += [f"{'note':<10}{note}" for note in explanation.notes]
    for title, quantities in groups(explanation):
        lines += ["", f"── {title} ".ljust(WIDTH, "─")]
        for q in quantities:
            lines += ["", *_lines(q)]
    return "\n".join([*lines, *[""] * bool(explanation.references), *explanation.references]) + "\n"


def _lines(q: Quantity) -> list[str]:
    text = q.equation if q.equation.startswith(q.name) else f"{q.name}: {q.equation}"
    lines = textwrap.wrap(text, WIDTH - 14, subsequent_indent="    ")
    lines[0] = f"{lines[0]:<{WIDTH - 12}}{shape(q.value):>12}"
    if not q.is_small:
        lines.append(f"      {summary_line(q)}")
    cells = rows(q.value) if q.is_small else rows(q.corner, 4)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        aligned = "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
        lines.append(f"      {aligned}{'' if q.is_small else ' …'}")
    for remark in filter(None, (beside(q), str(q.check or ""), f"[{q.source}]" if q.source else "")):
        lines += textwrap.wrap(remark, WIDTH - 4, initial_indent="    ", subsequent_indent="    ")
    return [line.rstrip() for line in lines]


def as_markdown(explanation: Explanation) -> str:
    """The explanation as Markdown: a table for each group."""
    lines = [f"# {explanation.title}", ""]
    lines += [f"- **{name}**: {text}" for name, text in facts(explanation).items()]
    lines += [f"- **note**: {note}" for note in explanation.notes]
    for title, quantities in groups(explanation):
        lines += ["", f"## {title[0].upper()}{title[1:]}", ""]
        lines += ["| | equation | shape | values | remarks |", "| --- | --- | --- | --- | --- |"]
        for q in quantities:
            remarks = "; ".join(filter(None, (beside(q), str(q.check or ""), q.source)))
            cells = f"**{q.name}**", q.equation, shape(q.value), _cell(q), remarks
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|').strip() for cell in cells)} |")
    references = [f"- {text}" for text in explanation.references]
    return "\n".join([*lines, *[""] * bool(references), *references]) + "\n"


def _cell(q: Quantity) -> str:
    if q.is_small:
        return "<br>".join(f"`{'  '.join(row)}`" for row in rows(q.value))
    return f"{summary_line(q)} `{'  '.join(rows(q.corner, 4)[0])}` …"
