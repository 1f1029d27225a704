"""The update of a step: what the rule makes of the gradient, in its own lines and with the settings' values."""

import dataclasses
import math
import re
from collections.abc import Iterator

import numpy as np

from ...backends import to_numpy
from ...equations.penalties import clipping_scale, euclidean_norm
from . import sources
from .quantities import host
from .quantity import Quantity
from .watch import Step


def update(step: Step) -> Iterator[Quantity]:
    """The clipping, the rate, and each parameter's slots and new value; the cost afterwards."""
    rule = step.state.optimizer
    source = sources.spoken(rule)[1]
    if step.clip_norm is not None:
        said = f"clipping = min(1, {step.clip_norm:g} / ||dtheta||)"
        yield Quantity("clipping", said, "Pascanu et al., ICML 2013", _clipping(step, step.clip_norm), "update")
    yield from _scalars(step, source)
    theta, *after = map(to_numpy, step.seen.update["new"])
    before = list(map(to_numpy, step.seen.update["slots"]))
    for k in range(1, step.depth + 1):
        for name, is_weight, at, shape in step.parameters(k):
            *of_moments, (_, of_theta) = _rules(step, name, is_weight)
            for i, (symbol, said) in enumerate(of_moments):
                moment = f"{symbol} of {name}"
                old, new = (host(v[i][at]).reshape(shape) for v in (before, after))
                yield Quantity(moment, f"{moment}, before the step", source, old, "update", k)
                yield Quantity(f"{moment} new", said, source, new, "update", k)
            yield Quantity(f"{name} new", of_theta, source, host(theta[at]).reshape(shape), "update", k)
    cost = np.asarray(step.at(step.backend.asarray(theta))[0], step.gradient.dtype)
    yield Quantity("J new", "J of the same samples after the step", sources.SOURCES["J"], cost, "update")


def _clipping(step: Step, limit: float) -> np.ndarray:
    """What the gradient is multiplied by, 0-d."""
    g = step.gradient
    if limit == math.inf:
        return np.ones((), g.dtype)
    return host(clipping_scale(euclidean_norm(step.backend.asarray(g)), limit))


def _scalars(step: Step, source: str) -> Iterator[Quantity]:
    """The rule's numbers for this step, the first of them called rate, with the settings they are made of."""
    rule, scalars = step.state.optimizer, step.seen.update["scalars"]
    said = rule.equations() or ("alpha", *(f"scalar {i}" for i in range(2, len(scalars) + 1)))
    t, alpha = step.seen.rate
    settings = {f.name: getattr(rule, f.name) for f in dataclasses.fields(rule) if f.name != "learning_rate"}
    numbers = {name: value for name, value in settings.items() if isinstance(value, float)}
    given = ", ".join(f"{name} = {value:g}" for name, value in {"alpha": alpha, "t": t, **numbers}.items())
    for i, (equation, value) in enumerate(zip(said, scalars, strict=False)):  # those of the slots follow
        name = re.split(" = |, ", equation)[0] if i else "rate"
        more = "" if i else f"; {given}"
        yield Quantity(name, equation + more, source, np.asarray(to_numpy(value), step.gradient.dtype), "update")


def _rules(step: Step, name: str, is_weight: bool) -> list[tuple[str, str]]:
    """What the rule does to one parameter: the symbol and the equation of each moment, and of the parameter."""
    rule = step.state.optimizer
    count = 1 + rule.slots
    said = rule.equations(is_weight)[-count:]
    if not said:  # a rule of the user's own: all of its docstring stands beside each result
        whole = sources.spoken(rule)[0] or f"theta, by {type(rule).__name__}"
        said = (whole,) * count
        symbols = [f"moment {i}" for i in range(1, count)] + ["theta"]
    else:
        symbols = [clause.partition(" ")[0] for clause in said]
    g = f"d{name}"
    if step.clip_norm is not None:
        g = f"clipping {g}"
        said = tuple(re.sub(r"\bg\^", "(g)^", clause) for clause in said)
    return [(symbol, sources.put(clause, theta=name, g=g)) for symbol, clause in zip(symbols, said, strict=True)]
