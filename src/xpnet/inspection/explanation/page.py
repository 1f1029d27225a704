"""An explanation as one page of HTML that needs nothing else: no network, no script; light or dark.

The forward pass runs down the left column, the backward pass up the right one; the cards' numbers give the order.
"""

import html
import importlib.resources
import re
from typing import Any

import numpy as np

from .quantity import Quantity
from .text import beside, facts, number, rows, shape, summary

Explanation = Any  # its class imports this module

_LETTERS = {"lambda": "λ", "alpha": "α", "beta": "β", "epsilon": "ε", "theta": "θ", "yhat": "ŷ", "sum": "Σ"}
_SIGNS = {"agrees": "✓", "kink": "◦", "differs": "✗"}


def as_page(*explanations: Explanation) -> str:
    """The whole page, of one explanation or of several."""
    title = html.escape("; ".join(explanation.title for explanation in explanations))
    content = "\n".join(as_fragment(explanation, f"step-{i}") for i, explanation in enumerate(explanations, 1))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>:root {{ color-scheme: light dark }} body {{ margin: 0 }}</style>\n"
        f"</head>\n<body>\n{content}\n</body>\n</html>\n"
    )


def as_fragment(explanation: Explanation, name: str = "step") -> str:
    """The page's content with its style, for a notebook's cell; ``name`` begins the names of the places in it."""
    of, layers = explanation.of, range(1, len(explanation.layers) + 1)
    stops = [("data", "data", f"X {shape(explanation['X'].value)}", "The data", [("", of("input"))])]
    for k in layers:
        output = [q for q in of("forward", k) if q.name in (f"A{k}", f"Z{k}")][-1]
        text = html.escape(explanation.layers[k - 1])
        lanes = [("forward ↓", of("forward", k)), ("backward ↑", of("backward", k)), ("update", of("update", k))]
        stop = f"layer-{k}", text.partition("(")[0], f"{output.name} {shape(output.value)}"
        stops.append((*stop, f"Layer {k} {_tag('span', text)}", lanes))
    stops.append(("loss", "loss", "J", "Loss and cost", [("", of("loss"))]))
    stops.append(("update", "update", "", "Update", [("", of("update"))]))
    links = [f'<a href="#{name}-{place}">{_tag("b", stop)}{_tag("span", text)}</a>' for place, stop, text, *_ in stops]
    parts = [_tag("style", _style()), _head(explanation), _tag("nav", "<i>→</i>".join(links))]
    for place, _, _, title, lanes in stops:
        content = "".join(_lane(explanation, *lane) for lane in lanes)
        content = _tag("div.lanes", content) if len(lanes) > 1 else content
        parts.append(f'<details open id="{name}-{place}">{_tag("summary", title)}{content}</details>')
    if explanation.references:
        listed = "".join(_tag("li", html.escape(text)) for text in explanation.references)
        parts.append(_tag("footer", _tag("ul", listed)))
    return _tag("div.xpnet-step", *parts)


def _style() -> str:
    """One column on a narrow screen, two lanes on a wide one; every rule stays within .xpnet-step."""
    return importlib.resources.files(__package__).joinpath("page.css").read_text(encoding="utf-8")


def _tag(kind: str, *content: str) -> str:
    """<tag class="one two">content</tag> for "tag.one two"; the content is HTML."""
    tag, _, classes = kind.partition(".")
    attribute = f' class="{classes.strip()}"' if classes else ""
    return f"<{tag}{attribute}>{''.join(content)}</{tag}>"


def _head(explanation: Explanation) -> str:
    before, after = (number(explanation[name].value.item()) for name in ("J", "J new"))
    verdicts = [q.check.verdict for q in explanation if q.check is not None]
    printed = [bool(q.is_as_printed) for q in explanation if q.printed is not None]
    tiles = [("", "cost J", f"{before} → {after}")]
    if verdicts:
        mood = "bad" if "differs" in verdicts else "kink" if "kink" in verdicts else "good"
        tiles.append((mood, "gradients checked", f"{verdicts.count('agrees')} of {len(verdicts)} agree"))
    if printed:
        tiles.append(("good" if all(printed) else "bad", "as the document prints", f"{sum(printed)} of {len(printed)}"))
    shown = [_tag(f"div.tile {mood}", _tag("span", name), _tag("b", text)) for mood, name, text in tiles]
    found = facts(explanation)
    listed = [_tag("div", _tag("dt", name), _tag("dd", html.escape(found[name]))) for name in explanation.facts]
    notes = [_tag("p.note", html.escape(note)) for note in explanation.notes]
    title = _tag("h1", html.escape(explanation.title))
    return _tag("header", title, _tag("dl", *listed), *notes, _tag("div.tiles", *shown))


def _lane(explanation: Explanation, title: str, quantities: list[Quantity]) -> str:
    grid = _tag("div.grid", *(_card(explanation.place(q), q) for q in quantities))
    return _tag("section.wide" if title == "update" else "section", _tag("h3", title), grid) if title else grid


def _card(place: int, q: Quantity) -> str:
    size = _tag("span.shape", shape(q.value)) if q.value.ndim else ""
    parts = [_tag("h4", _tag("span.order", str(place)), _tag("b", _equation(q.name)), size)]
    parts += [_tag("div.equation", _equation(q.equation)), _values(q)]
    if q.symbol is not None and beside(q):
        text = _tag("span", f"document: {_equation(q.symbol)}{' =' if q.printed is not None else ''}")
        if q.printed is not None:
            text += f"{_numbers(q.printed)} {_tag('em', '✓ the same' if q.is_as_printed else '✗ not the same')}"
        parts.append(_tag(f"div.printed {'bad' if q.is_as_printed is False else 'good'}", text))
    if q.check is not None:
        parts.append(_tag(f"div.check {q.check.verdict}", f"{_SIGNS[q.check.verdict]} {html.escape(str(q.check))}"))
    if q.source:
        parts.append(_tag("div.source", html.escape(q.source)))
    return _tag("article", *parts)


def _values(q: Quantity) -> str:
    if q.is_small:
        return _numbers(q.value)
    cells = summary(q)
    table = [_tag("tr", *(_tag(tag, text) for text in row)) for tag, row in (("th", cells), ("td", cells.values()))]
    corner = _tag("p.corner", f"the first {shape(q.corner)}")
    return _tag("div.scroll", _tag("table.summary", *table)) + corner + _numbers(q.corner, 4)


def _numbers(a: np.ndarray, digits: int = 6) -> str:
    """A number, or a table of them."""
    if a.ndim == 0:
        return _tag("span.number", rows(a, digits)[0][0])
    body = [_tag("tr", *(_tag("td", cell) for cell in row)) for row in rows(a, digits)]
    return _tag("div.scroll", _tag("table.matrix", *body))


def _equation(text: str) -> str:
    """An equation with its indices, exponents and Greek letters set."""
    text = html.escape(text, quote=False)
    text = re.sub(
        r"\b(lambda|alpha|beta|epsilon|theta|yhat|sum(?=_| [LwdW|]))(?![a-z])", lambda found: _LETTERS[found[0]], text
    )
    text = re.sub(r"\^(-?\w+)", r"<sup>\1</sup>", text)
    text = re.sub(r"(?<=\w)_(\w+)", r"<sub>\1</sub>", text)
    text = re.sub(r"\b(d?[A-Za-z]|d?α)(\d+)(?=ᵀ|\b)", r"\1<sub>\2</sub>", text)
    text = text.replace("</sub><sub>", ",")
    return re.sub(r" -(=?) ", r" −\1 ", text)
