"""A record as one page of HTML that needs nothing else: no network, no script, light or dark as the reader has it.

Down the left column runs the forward pass, up the right one the backward pass; the numbers say the order.
"""

import html
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from .quantity import Quantity
from .style import STYLE
from .text import beside, facts, number, rows, shape

Record = Any  # its class imports this module

DOCUMENTS = {
    "D0": "Neural Networks (tutorial), HyperionDev, 2024",
    "D1": "Simple neural network walkthrough, after Welch Labs' videos, 2018",
    "D2": "Neural Networks, Otis Saint, 2022",
    "D3": "Neural Network, Savoga, after Andrew Ng",
    "D4": "Neural Networks, Trần Minh Dương",
}
_LETTERS = {"lambda": "λ", "alpha": "α", "beta": "β", "epsilon": "ε", "theta": "θ", "yhat": "ŷ", "sum": "Σ"}


def as_page(*records: Record) -> str:
    """The whole page, of one record or of several."""
    title = html.escape("; ".join(record.title for record in records))
    content = "\n".join(as_fragment(record, f"step-{i}") for i, record in enumerate(records, 1))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>:root {{ color-scheme: light dark }} body {{ margin: 0 }}</style>\n"
        f"</head>\n<body>\n{content}\n</body>\n</html>\n"
    )


def as_fragment(record: Record, name: str = "step") -> str:
    """The page's content with its style, for a notebook's cell; ``name`` is what the places in it begin with."""
    parts = [f"<style>{STYLE}</style>", _head(record), _flow(record, name)]
    parts.append(_block(f"{name}-data", "The data", _grid(record, record.of("input"))))
    for k in range(1, len(record.layers) + 1):
        lanes = [
            _lane("forward ↓", record, record.of("forward", k)),
            _lane("backward ↑", record, record.of("backward", k)),
            _lane("update", record, record.of("update", k), "wide"),
        ]
        title = f"Layer {k} <span>{html.escape(record.layers[k - 1])}</span>"
        parts.append(_block(f"{name}-layer-{k}", title, f'<div class="lanes">{"".join(lanes)}</div>'))
    parts.append(_block(f"{name}-loss", "Loss and cost", _grid(record, record.of("loss"))))
    parts.append(_block(f"{name}-update", "Update", _grid(record, record.of("update"))))
    listed = "".join(f"<li><b>{d}</b> {html.escape(said)}</li>" for d, said in DOCUMENTS.items())
    parts.append(f"<footer><p>The documents that the equations come from</p><ul>{listed}</ul></footer>")
    return f'<div class="xpnet-step">{"".join(parts)}</div>'


def _head(record: Record) -> str:
    before, after = (number(record[name].value.item()) for name in ("J", "J new"))
    verdicts = [q.check.verdict for q in record if q.check is not None]
    tiles = [("cost J", f"{before} → {after}", "")]
    if verdicts:
        mood = "bad" if "differs" in verdicts else "kink" if "kink" in verdicts else "good"
        tiles.append(("gradients checked", f"{verdicts.count('agrees')} of {len(verdicts)} agree", mood))
    printed = [q.is_as_printed for q in record if q.printed is not None]
    if printed:
        mood = "good" if all(printed) else "bad"
        tiles.append(("as the document prints", f"{sum(map(bool, printed))} of {len(printed)}", mood))
    shown = "".join(f'<div class="tile {mood}"><span>{name}</span><b>{said}</b></div>' for name, said, mood in tiles)
    said = facts(record)
    names = [name for name in record.facts if name in said]
    listed = "".join(f"<div><dt>{name}</dt><dd>{html.escape(said[name])}</dd></div>" for name in names)
    notes = "".join(f'<p class="note">{html.escape(note)}</p>' for note in record.notes)
    return (
        f'<header><h1>{html.escape(record.title)}</h1><dl>{listed}</dl>{notes}<div class="tiles">{shown}</div></header>'
    )


def _flow(record: Record, name: str) -> str:
    """The network as a row of links, with the shapes that go from one to the next."""
    stops = [("data", "X", shape(record["X"].value))]
    for k, described in enumerate(record.layers, 1):
        outputs = [q for q in record.of("forward", k) if q.name in (f"A{k}", f"Z{k}")]
        stops.append((f"layer-{k}", described.partition("(")[0], f"{outputs[-1].name} {shape(outputs[-1].value)}"))
    stops += [("loss", "loss", "J"), ("update", "update", "")]
    links = [f'<a href="#{name}-{place}"><b>{stop}</b><span>{said}</span></a>' for place, stop, said in stops]
    return f"<nav>{'<i>→</i>'.join(links)}</nav>"


def _block(place: str, title: str, content: str) -> str:
    return f'<details open id="{place}"><summary>{title}</summary>{content}</details>'


def _lane(title: str, record: Record, quantities: Iterable[Quantity], kind: str = "") -> str:
    return f'<section class="{kind}"><h3>{title}</h3>{_grid(record, quantities)}</section>'


def _grid(record: Record, quantities: Iterable[Quantity]) -> str:
    return f'<div class="grid">{"".join(_card(record, q) for q in quantities)}</div>'


def _card(record: Record, q: Quantity) -> str:
    remarks = []
    if q.symbol is not None and beside(q):
        said = f"<span>document: {_equation(q.symbol)}{' =' if q.printed is not None else ''}</span>"
        if q.printed is not None:
            same = "✓ the same" if q.is_as_printed else "✗ not the same"
            said += f"{_numbers(q.printed)} <em>{same}</em>"
        remarks.append(f'<div class="printed {"bad" if q.is_as_printed is False else "good"}">{said}</div>')
    if q.check is not None:
        sign = {"agrees": "✓", "kink": "◦", "differs": "✗"}[q.check.verdict]
        remarks.append(f'<div class="check {q.check.verdict}">{sign} {html.escape(str(q.check))}</div>')
    if q.source:
        remarks.append(f'<div class="source">{html.escape(q.source)}</div>')
    size = f'<span class="shape">{shape(q.value)}</span>' if q.value.ndim else ""
    return (
        f'<article><h4><span class="order">{record.place(q)}</span>'
        f"<b>{_equation(q.name)}</b>{size}</h4>"
        f'<div class="equation">{_equation(q.equation)}</div>{_values(q)}{"".join(remarks)}</article>'
    )


def _values(q: Quantity) -> str:
    if q.is_small:
        return _numbers(q.value)
    s = q.summary()
    cells = [(name, number(s[name], 4)) for name in ("min", "mean", "max", "norm")]
    cells.append(("zeros", f"{100.0 * s['zeros']:.3g} %"))
    head = "".join(f"<th>{name}</th>" for name, _ in cells)
    body = "".join(f"<td>{said}</td>" for _, said in cells)
    corner = " × ".join(map(str, q.corner.shape))
    return (
        f'<div class="scroll"><table class="summary"><tr>{head}</tr><tr>{body}</tr></table></div>'
        f'<p class="corner">the first {corner}</p>{_numbers(q.corner, 4)}'
    )


def _numbers(a: np.ndarray, digits: int = 6) -> str:
    """A number, or a table of them."""
    if a.ndim == 0:
        return f'<span class="number">{rows(a, digits)[0][0]}</span>'
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows(a, digits))
    return f'<div class="scroll"><table class="matrix">{body}</table></div>'


def _equation(said: str) -> str:
    """An equation with its indices, exponents and Greek letters set."""
    said = html.escape(said, quote=False)
    said = re.sub(
        r"\b(lambda|alpha|beta|epsilon|theta|yhat|sum(?=_| [LwdW|]))(?![a-z])", lambda found: _LETTERS[found[0]], said
    )
    said = re.sub(r"\^(-?\w+)", r"<sup>\1</sup>", said)
    said = re.sub(r"(?<=\w)_(\w+)", r"<sub>\1</sub>", said)
    said = re.sub(r"\b(d?[A-Za-z]|d?α)(\d+)(?=ᵀ|\b)", r"\1<sub>\2</sub>", said)
    said = said.replace("</sub><sub>", ",")
    return re.sub(r" -(=?) ", r" −\1 ", said)
