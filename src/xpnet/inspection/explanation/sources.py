"""Each quantity's equation and where the documents have it.

What activations, losses, layers and rules compute is read from the first lines of their own docstrings, so it is said
once and holds for a user's own; what a layer of weights does, with its indices, is said here.
"""

import re
from typing import Any

from ...equations.losses import HalfSquaredError

SOURCES = {
    "Z": "D0 forward 1, 3; D1 forward; D2 (1), (2), (6), (7); D3 forward; D4 section 3",
    "dW": "D0 backward 2, 7; D1 ∂J/∂W; D2 (3), (8); D3 dω; D4 steps 2, 3",
    "db": "D0 backward 3, 8; D2 (9); D3 db; D4 step 5",
    "dA": "D0 backward 4; D1 ∂J/∂W; D2 (4), (11); D3 two layers; D4 step 3",
    "dZ": "D0 backward 5, 6; D1 ∂J/∂W; D2 (4), (11); D3 two layers; D4 step 3",
    "output": "D1 ∂J/∂W; D2 (5), (10); D4 steps 2, 3",
    "c": "D0 backward 2, 3, 7, 8: 1/m; D3 cost: 1/m; D1 cost: a sum",
    "J": "D1 cost; D2 section 2.1; D3 cost; D4 step 1",
    "penalty": "D0 L1, L2",
}
"""Where the documents have what is not one class's equation; the README's table has the same names."""


_SOURCE = re.compile(r"\s*\(((?:D[0-4]\b|[A-Z][a-z]+)[^()]*(?:\([^()]*\)[^()]*)*)\)")


def spoken(thing: Any) -> tuple[str, str]:
    """(equation, source) of a thing's class, by its docstring: the first paragraph, and where it comes from."""
    kind = type(thing)
    doc = kind.__doc__ or ""
    if doc.startswith(f"{kind.__name__}("):  # a dataclass that nobody described
        return "", ""
    found = _SOURCE.search(doc)
    equation = " ".join(_SOURCE.sub("", doc.strip().split("\n\n")[0]).split())
    return equation.rstrip("."), " ".join(found[1].split()).rstrip(".") if found else ""


def split(equation: str, at: str) -> tuple[str, str]:
    """An equation's part before, and from, the derivative that ``at`` begins."""
    before, *after = re.split(rf"[,;] (?={re.escape(at)})", equation, maxsplit=1)
    return before, after[0] if after else ""


def put(equation: str, **names: str) -> str:
    """The equation with other names in place of its own."""
    return re.sub("|".join(rf"\b{name}\b" for name in names), lambda found: names[found[0]], equation)


def activation(f: Any) -> tuple[str, str, str]:
    """(a = ..., f' = ..., source) of an activation."""
    equation, source = spoken(f)
    value, slope = split(equation, "f' =")
    if not slope:
        value, slope = split(equation, "dz =")
    return value, slope, source


def loss(of: Any) -> tuple[str, str, str]:
    """(L = ..., dZ = ..., source) of a loss."""
    equation, source = spoken(of)
    value, slope = split(equation, "dZ =")
    if isinstance(of, HalfSquaredError) and of.mean_over_outputs:
        return "L = 1/(2r) sum_j (yhat_j - y_j)^2 over r outputs", "dZ = (A - Y) / r", "D2 section 2.1"
    return value, re.split(r", for |: ", slope)[0] or "dZ = dL/dZ", source
