"""Every gradient of a step against central differences, in float64."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ...backends import get_backend, to_numpy
from ...equations.activations import Activation, Linear
from ...equations.dropout import Dropout
from ...equations.layers import Training
from ...network import Sequential
from ..central_differences import CostAndGradient, slopes_at
from ..gradient_problem import Given, Problem, has_float64
from .observed_step import Step
from .quantity import Check

FEW = 32
"""A gradient of at most this many entries is checked entry by entry, a larger one along directions."""
N_DIRECTIONS = 4
"""Directions for a larger gradient: its own, and random ones."""
_THROUGH = Dropout(0.0)
"""A layer that passes everything through."""


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # far from the step's own point
def checks(step: Step) -> dict[str, Check]:
    """The check of each gradient by its name."""
    tolerance = float(np.finfo(step.gradient.dtype).eps) ** 0.5
    return {name: check(cost, at, gradient, tolerance) for name, cost, at, gradient in _gradients(step)}


def check(cost_and_gradient: CostAndGradient, at: np.ndarray, gradient: np.ndarray, tolerance: float) -> Check:
    """Compare this gradient (n,) with differences of the cost around ``at`` (n,)."""
    n = at.size
    count = n if n <= FEW else N_DIRECTIONS
    rng = np.random.default_rng(0)
    slopes = slopes_at(cost_and_gradient, at, tolerance / count**0.5, rng, gradient)
    lines = [line for line, _ in slopes.each(range(n))] if n <= FEW else slopes.along_random(count)
    error = float(np.linalg.norm([line.longest if line.at_kink else line.error for line in lines])) / (
        float(np.linalg.norm(gradient)) or 1.0
    )
    worst = max(lines, key=lambda line: ("agrees", "kink", "differs").index(line.verdict))
    return Check(worst.verdict, error, tolerance, count, n <= FEW)


def _gradients(step: Step) -> Iterator[tuple[str, CostAndGradient, np.ndarray, np.ndarray]]:
    """Each gradient's name, the cost as a function, the point, and the gradient."""
    seen, train = step.seen, Training(step.seen["train", 1].key)
    model, theta = step.model, _flat(step.theta)
    cost = _problem(step, model).cost_and_gradient(train)
    loss_sum = _problem(step, replace(model, reduction="sum", l1=0.0, l2=0.0)).cost_and_gradient(train)
    for k in range(step.depth, 0, -1):
        is_last = k == step.depth
        dA = seen["dZ", 0] if is_last else seen["dA", k]
        yield step.output_error if is_last else f"dA{k}", *_after(step, k, seen["A", k], train), _flat(dA)
        if step.passes_through(k):
            yield f"dZ{k}", *_after(step, k, seen["Z", k], train, step.activation(k)), _flat(seen["dZ", k])
        for window, g in zip(step.parameters(k), seen["gradients", k], strict=True):
            name, at = window.name, window.at
            yield f"sum d{name}", _within(loss_sum, theta, at), theta[at], _flat(g)
            yield f"d{name}", _within(cost, theta, at), theta[at], _flat(step.gradient[at])


def _problem(step: Step, model: Any, theta: np.ndarray | None = None) -> Problem:
    """The step's samples and parameters in float64, on its backend if that has float64, otherwise on NumPy."""
    backend = step.backend if has_float64(step.backend) else get_backend("numpy")
    X, Y, w = (None if a is None else backend.asarray(a, backend.xp.float64) for a in step.data)
    theta = _flat(step.theta) if theta is None else theta
    return Problem(replace(model, precision="float64"), backend, X, Y, w, theta)


def _after(
    step: Step, k: int, A: Any, train: Training, f: Activation | None = None
) -> tuple[CostAndGradient, np.ndarray]:
    """The sum of losses as a function of the output of layer k, or of what its f is applied to; and that point.

    Layers that pass everything through take the place of the earlier ones, so that later layers keep their numbers, on
    which Dropout's masks depend.
    """
    given = Given("A", tuple(A.shape), f or Linear())
    network = Sequential(*[_THROUGH] * (k - 1), given, *step.model.network.layers[k:])
    model = replace(step.model, network=network, reduction="sum", l1=0.0, l2=0.0)
    later = [step.seen["params", j] for j in range(k + 1, step.depth + 1)]
    layout = model.layout(step.layout.in_shape)
    nested = *[()] * (k - 1), (_flat(A),), *(tuple(map(_flat, of_layer)) for of_layer in later)
    theta, (at, _) = layout.pack(nested), layout.windows[k - 1][0]
    return _within(_problem(step, model, theta).cost_and_gradient(train), theta, at), theta[at]


def _within(cost_and_gradient: CostAndGradient, theta: np.ndarray, at: slice) -> CostAndGradient:
    """The cost as a function of the parameters in one window, with the others fixed."""

    def of_window(part: np.ndarray) -> tuple[float, np.ndarray]:
        moved = theta.copy()
        moved[at] = part
        J, g = cost_and_gradient(moved)
        return J, g[at]

    return of_window


def _flat(a: Any) -> np.ndarray:
    return to_numpy(a).astype(np.float64).ravel()
