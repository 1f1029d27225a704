"""The quantities of a step's update, by the equations of the optimizer's rule."""

import dataclasses
import math
import re
from collections.abc import Iterator

import numpy as np

from ...backends import to_numpy
from ...equations.clipping import clipping_scale, euclidean_norm
from ..equation_text import renamed, source_of
from .observed_step import Step, host
from .quantity import Quantity


def update(step: Step) -> Iterator[Quantity]:
    """The clipping, the rate, and each parameter's slots and new value; the cost afterwards."""
    source = source_of(step.state.optimizer)
    if step.clip_norm is not None:
        text = f"clipping = min(1, {step.clip_norm:g} / ||dtheta||)"
        yield Quantity("clipping", text, "Pascanu et al., ICML 2013", _clipping(step, step.clip_norm), "update")
    yield from _scalars(step, source)
    theta, *after = map(to_numpy, step.seen["new", 0])
    slots = list(zip(map(to_numpy, step.seen["slots", 0]), after, strict=True))
    for k in range(1, step.depth + 1):
        for window in step.parameters(k):
            name, at, shape = window.name, window.at, window.shape
            *of_slots, (_, of_theta) = _rules(step, name, window.role == "weight")
            for (symbol, text), both in zip(of_slots, slots, strict=True):
                slot = f"{symbol} of {name}"
                old, new = (host(v[at]).reshape(shape) for v in both)
                yield Quantity(slot, f"{slot}, before the step", source, old, "update", k)
                yield Quantity(f"{slot} new", text, source, new, "update", k)
            yield Quantity(f"{name} new", of_theta, source, host(theta[at]).reshape(shape), "update", k)
    cost = np.asarray(step.at(step.backend.asarray(theta))[0], step.gradient.dtype)
    yield Quantity("J new", "J of the same samples after the step", "", cost, "update")


def _clipping(step: Step, limit: float) -> np.ndarray:
    """The factor of the gradient, 0-d."""
    g = step.gradient
    if limit == math.inf:
        return np.ones((), g.dtype)
    return host(clipping_scale(euclidean_norm(step.backend.asarray(g)), limit))


def _scalars(step: Step, source: str) -> Iterator[Quantity]:
    """The rule's numbers for this step, the first of them called rate, with the settings they are computed from."""
    rule, scalars = step.state.optimizer, step.seen["scalars", 0]
    equations = rule.equations() or ("alpha", *(f"scalar {i}" for i in range(2, len(scalars) + 1)))
    settings = {f.name: getattr(rule, f.name) for f in dataclasses.fields(rule) if f.name != "learning_rate"}
    numbers = {"alpha": step.seen["rate", 0], "t": step.seen["t", 0]}
    numbers |= {name: value for name, value in settings.items() if isinstance(value, float)}
    given = ", ".join(f"{name} = {value:g}" for name, value in numbers.items())
    for i, (equation, value) in enumerate(zip(equations, scalars, strict=False)):  # the equations of the slots follow
        name = re.split(" = |, ", equation)[0] if i else "rate"
        more = "" if i else f"; {given}"
        yield Quantity(name, equation + more, source, np.asarray(to_numpy(value), step.gradient.dtype), "update")


def _rules(step: Step, name: str, is_weight: bool) -> list[tuple[str, str]]:
    """What the rule does to one parameter: the symbol and the equation of each slot, and of the parameter."""
    rule = step.state.optimizer
    equations = rule.equations(is_weight)[-1 - rule.slots :]
    if not equations:  # a rule of the user's own without equations
        symbols = [*(f"slot {i}" for i in range(1, rule.slots + 1)), name]
        return [(symbol, f"{symbol}, by {type(rule).__name__}") for symbol in symbols]
    g = f"d{name}" if step.clip_norm is None else f"clipping d{name}"
    if step.clip_norm is not None:
        equations = tuple(re.sub(r"\bg\^", "(g)^", equation) for equation in equations)
    return [(line.partition(" ")[0], renamed(line, {"theta": name, "g": g})) for line in equations]
